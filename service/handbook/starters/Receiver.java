// A participant's receiver: verifies, stores before it says 2xx, keeps order, acts once, answers. Java 17, no library.
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.FileInputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.*;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

final class Receiver {
    private static final Map<String, String> ENV = System.getenv();
    // The hub sends the members in order and `data` in its RFC 8785 form: what was signed is cut out of what came.
    private static final Pattern EVENT = Pattern.compile("\\{\"data\":(\\{.*\\}),\"datacontenttype\":"
        + "\"application/json\",\"id\":\"(\\w+)\",.*\"type\":\"vn\\.hoatoc\\.order\\.\\w+\"\\}");

    public static void main(String[] none) throws Exception {
        Hub hub = new Hub(ENV.get("HUB"), ENV.get("PARTICIPANT"), ENV.get("CLIENT"), ENV.get("CLIENT_KEY"),
            ENV.get("ANSWER_KEY"));
        Books books = new Books(Path.of(ENV.get("BOOKS")));
        int port = Integer.parseInt(ENV.get("PORT"));
        HttpsServer server = HttpsServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.setHttpsConfigurator(new HttpsConfigurator(tls()));
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/", call -> {
            String body = new String(call.getRequestBody().readNBytes(65_536), StandardCharsets.UTF_8);
            call.sendResponseHeaders(receive(hub, books, call.getRequestHeaders(), body), -1);
            call.close();
        });
        server.start();
        while (true) if (!books.work(hub)) Thread.sleep(500);
    }

    // Standard Webhooks: one of our secrets (two during a rotation) signed these bytes within five minutes.
    private static boolean isGenuine(Headers headers, String body) throws GeneralSecurityException {
        String id = headers.getFirst("webhook-id"), sent = headers.getFirst("webhook-timestamp");
        String given = headers.getFirst("webhook-signature");
        if (id == null || given == null || sent == null || !sent.matches("[0-9]{1,12}")) return false;
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(sent)) > 300) return false;
        boolean known = false;
        for (String secret : ENV.get("SECRETS").split(" ")) {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(Base64.getDecoder().decode(secret.replace("whsec_", "")), "HmacSHA256"));
            byte[] mine = mac.doFinal(Jws.bytes(id + "." + sent + "." + body));
            byte[] ours = Jws.bytes("v1," + Base64.getEncoder().encodeToString(mine));
            for (String each : given.split(" ")) known |= MessageDigest.isEqual(ours, Jws.bytes(each));
        }
        return known;
    }

    // The status for what came: 202 says that it is on the disk, and nothing more.
    private static int receive(Hub hub, Books books, Headers headers, String body) {
        try {
            if (!isGenuine(headers, body)) return 401;
            Matcher event = EVENT.matcher(body);
            if (!event.matches()) return 204; // a kind of message that you do not know
            if (!hub.ordered(headers.getFirst("Hoatoc-Signature"), event.group(1))) return 401;
            books.store(event.group(2), event.group(1));
            return 202;
        } catch (IOException unread) {
            return 503; // the hub's keys cannot be read now, or the disk is full: the order comes again
        } catch (Exception malformed) {
            return 401;
        }
    }

    private static SSLContext tls() throws Exception {
        String pem = Files.readString(Path.of(ENV.get("TLS_KEY"))).replaceAll("-----[^-]+-----|\\s", "");
        PKCS8EncodedKeySpec key = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        try (FileInputStream file = new FileInputStream(ENV.get("TLS_CERT"))) {
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
