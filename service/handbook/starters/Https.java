// The door: an HTTPS server of Java's own with a certificate from PEM files, and the HMAC of Standard Webhooks.
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Instant;
import java.util.Base64;
import java.util.concurrent.Executors;
import java.util.function.ToIntBiFunction;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

final class Https {
    private Https() { }

    // Listen on loopback; `receive` returns the status for what came.
    static void serve(int port, String certificate, String key, ToIntBiFunction<Headers, String> receive)
        throws IOException, GeneralSecurityException {
        System.setProperty("sun.net.httpserver.maxReqTime", "10"); // seconds: who begins a call and says no more
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(context(certificate, key)));
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", call -> {
            String body = new String(call.getRequestBody().readNBytes(65_536), StandardCharsets.UTF_8);
            call.sendResponseHeaders(receive.applyAsInt(call.getRequestHeaders(), body), -1);
            call.close();
        });
        server.start();
    }

    // Standard Webhooks: one of our secrets (two during a rotation) signed these bytes within five minutes.
    static boolean isGenuine(String secrets, Headers headers, String body) throws GeneralSecurityException {
        String id = headers.getFirst("webhook-id"), sent = headers.getFirst("webhook-timestamp");
        String given = headers.getFirst("webhook-signature");
        if (id == null || given == null || sent == null || !sent.matches("[0-9]{1,12}")) return false;
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(sent)) > 300) return false;
        boolean known = false;
        for (String secret : secrets.split(" ")) {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(Base64.getDecoder().decode(secret.replace("whsec_", "")), "HmacSHA256"));
            byte[] mine = mac.doFinal(Jws.bytes(id + "." + sent + "." + body));
            byte[] ours = Jws.bytes("v1," + Base64.getEncoder().encodeToString(mine));
            for (String each : given.split(" ")) known |= MessageDigest.isEqual(ours, Jws.bytes(each));
        }
        return known;
    }

    private static SSLContext context(String certificate, String keyFile) throws IOException, GeneralSecurityException {
        String pem = Files.readString(Path.of(keyFile)).replaceAll("-----[^-]+-----|\\s", "");
        PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        try (FileInputStream file = new FileInputStream(certificate)) {
            CertificateFactory certificates = CertificateFactory.getInstance("X.509");
            Certificate[] chain = certificates.generateCertificates(file).toArray(Certificate[]::new);
            store.setKeyEntry("us", KeyFactory.getInstance("EC").generatePrivate(key), new char[0], chain);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store, new char[0]);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), null, null);
        return context;
    }
}
