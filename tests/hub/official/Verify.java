// Lets Java's own library verify deliveries and the hub's signatures: lines of fields with tabs in, true or false out.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.security.AlgorithmParameters;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.Signature;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

final class Verify {
    public static void main(String[] none) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] field = line.split("\t");
            System.out.println(field[0].equals("hmac") ? genuine(field) : ordered(field));
        }
    }

    // hmac, secret, id, timestamp, signatures, body
    private static boolean genuine(String[] field) throws Exception {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getDecoder().decode(field[1].replace("whsec_", "")), "HmacSHA256"));
        mac.update((field[2] + "." + field[3] + ".").getBytes(StandardCharsets.UTF_8));
        byte[] right = mac.doFinal(Base64.getDecoder().decode(field[5]));
        for (String each : field[4].split(" ")) {
            byte[] given = Base64.getDecoder().decode(each.substring(each.indexOf(',') + 1));
            if (each.startsWith("v1,") && MessageDigest.isEqual(right, given)) return true;
        }
        return false;
    }

    // es256, x, y, what was signed, signature
    private static boolean ordered(String[] field) throws Exception {
        AlgorithmParameters curve = AlgorithmParameters.getInstance("EC");
        curve.init(new ECGenParameterSpec("secp256r1"));
        ECPoint point = new ECPoint(number(field[1]), number(field[2]));
        Signature signature = Signature.getInstance("SHA256withECDSAinP1363Format");
        signature.initVerify(KeyFactory.getInstance("EC").generatePublic(
            new ECPublicKeySpec(point, curve.getParameterSpec(ECParameterSpec.class))));
        signature.update(field[3].getBytes(StandardCharsets.UTF_8));
        return signature.verify(Base64.getUrlDecoder().decode(field[4]));
    }

    private static BigInteger number(String text) {
        return new BigInteger(1, Base64.getUrlDecoder().decode(text));
    }
}
