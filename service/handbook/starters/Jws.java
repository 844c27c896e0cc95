// Signatures by ES256, compact JWS, and as much of JSON as the hub's messages need: Java's own library, nothing else.
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPrivateKeySpec;
import java.security.spec.ECPublicKeySpec;
import java.util.Base64;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

final class Jws {
    static final String ES256 = "SHA256withECDSAinP1363Format";

    // A private key of yours: `jwk` is its public half in canonical form, `kid` the thumbprint of that (RFC 7638).
    record Key(PrivateKey secret, String jwk, String kid) { }

    private Jws() { }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String b64(byte[] raw) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(raw);
    }

    static byte[] unb64(String text) {
        return Base64.getUrlDecoder().decode(text);
    }

    static String sha256(byte[] raw) throws GeneralSecurityException {
        return b64(MessageDigest.getInstance("SHA-256").digest(raw));
    }

    // A member that is a text or a number; null for any other. Inside a text every quotation mark is escaped, so that
    // nothing in a text looks like a member.
    static String member(String json, String name) {
        String value = "\"" + name + "\":\\s*(?:\"((?:[^\"\\\\]|\\\\.)*)\"|([0-9]+))";
        Matcher found = Pattern.compile(value).matcher(json);
        return !found.find() ? null : found.group(1) != null ? found.group(1) : found.group(2);
    }

    static Key load(String file) throws IOException, GeneralSecurityException {
        String jwk = Files.readString(Path.of(file));
        String form = "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}";
        String shown = form.formatted(member(jwk, "x"), member(jwk, "y"));
        ECPrivateKeySpec secret = new ECPrivateKeySpec(number(jwk, "d"), curve());
        return new Key(KeyFactory.getInstance("EC").generatePrivate(secret), shown, sha256(bytes(shown)));
    }

    // `header` is the members of the header beside `alg`.
    static String sign(Key key, String header, byte[] payload) throws GeneralSecurityException {
        String text = b64(bytes("{\"alg\":\"ES256\"," + header + "}")) + "." + b64(payload);
        Signature signature = Signature.getInstance(ES256);
        signature.initSign(key.secret());
        signature.update(bytes(text));
        return text + "." + b64(signature.sign());
    }

    static boolean holds(String jwk, String head, byte[] payload, String tail) throws GeneralSecurityException {
        ECPoint point = new ECPoint(number(jwk, "x"), number(jwk, "y"));
        Signature signature = Signature.getInstance(ES256);
        signature.initVerify(KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(point, curve())));
        signature.update(bytes(head + "." + b64(payload)));
        return signature.verify(unb64(tail));
    }

    private static BigInteger number(String jwk, String name) {
        return new BigInteger(1, unb64(member(jwk, name)));
    }

    private static ECParameterSpec curve() throws GeneralSecurityException {
        AlgorithmParameters parameters = AlgorithmParameters.getInstance("EC");
        parameters.init(new ECGenParameterSpec("secp256r1"));
        return parameters.getParameterSpec(ECParameterSpec.class);
    }
}
