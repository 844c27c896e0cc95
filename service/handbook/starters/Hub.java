// A participant's way to the hub: who signed an order, and answers with a token, a proof and a signature of its own.
import java.io.IOException;
import java.net.URI;
import java.net.http.*;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.util.*;

final class Hub {
    private static final String ASSERTION = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    private final String address, participant, client;
    private final Jws.Key system, signer;
    private final HttpClient http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private List<String> keys = List.of();
    private String token = "";
    private long readAt, tokenEnds;

    // HUB is the hub's issuer; the keys are JWK files: of the system that calls, and for answers.
    Hub(Map<String, String> env) throws IOException, GeneralSecurityException {
        address = env.get("HUB");
        participant = env.get("PARTICIPANT");
        client = env.get("CLIENT");
        system = Jws.load(env.get("CLIENT_KEY"));
        signer = Jws.load(env.get("ANSWER_KEY"));
    }

    // Whether the hub signed exactly this order to us. `data` is as it came: the hub sends its RFC 8785 form.
    // Throws IOException where the hub's keys cannot be read now.
    synchronized boolean ordered(String signature, String data) throws Exception {
        String[] parts = signature.split("\\.", -1);
        String said = new String(Jws.unb64(parts[0]), StandardCharsets.UTF_8);
        String kid = Jws.member(said, "kid");
        if (key(kid) == null || readAt < now() - 3600) {
            HttpResponse<String> shown = send(HttpRequest.newBuilder(URI.create(address + "/v1/signing-keys")));
            keys = Arrays.asList(shown.body().split("(?<=\\}),"));
            readAt = now();
        }
        String key = key(kid);
        Instant madeAt = Instant.ofEpochSecond(Long.parseLong(Jws.member(said, "iat")));
        return key != null && parts.length == 3 && parts[1].isEmpty() && Jws.member(key, "revoked_at") == null
            && "ES256".equals(Jws.member(said, "alg")) && "hoatoc-order+jws".equals(Jws.member(said, "typ"))
            && Jws.member(data, "order_id").equals(Jws.member(said, "sub"))
            && participant.equals(Jws.member(data, "participant_id"))
            && !madeAt.isBefore(Instant.parse(Jws.member(key, "not_before")))
            && madeAt.isBefore(Instant.parse(Jws.member(key, "not_after")))
            && Jws.holds(key, parts[0], Jws.bytes(data), parts[2]);
    }

    // Post an answer, in its canonical form. Returns whether the hub took it; throws to be tried again.
    boolean answer(String data, String body) throws Exception {
        String order = Jws.member(data, "order_id"), path = Jws.member(data, "answer_url");
        String fresh = "\"iat\":%d,\"jti\":\"%s\"".formatted(now(), UUID.randomUUID());
        String about = "\"typ\":\"hoatoc-answer+jws\",\"kid\":\"%s\",\"sub\":\"%s\",\"aud\":\"%s\",%s";
        String header = about.formatted(signer.kid(), order, address, fresh);
        String[] signed = Jws.sign(signer, header, Jws.bytes(body)).split("\\.");
        if (tokenEnds < now()) signOn();
        String proof = "{\"htm\":\"POST\",\"htu\":\"%s\",\"ath\":\"%s\",\"bsh\":\"%s\",%s}".formatted(
            address + path, Jws.sha256(Jws.bytes(token)), Jws.sha256(Jws.bytes(body)), fresh);
        String bound = "\"typ\":\"dpop+jwt\",\"jwk\":" + system.jwk();
        int status = send(HttpRequest.newBuilder(URI.create(address + path))
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .header("Authorization", "DPoP " + token).header("DPoP", Jws.sign(system, bound, Jws.bytes(proof)))
            .header("Hoatoc-Signature", signed[0] + ".." + signed[2]).header("Content-Type", "application/json")
        ).statusCode();
        if (status < 300) return true;
        tokenEnds = 0;
        if (List.of(400, 403, 404, 422).contains(status)) return false;
        throw new IOException("the hub says " + status);
    }

    private void signOn() throws Exception {
        String form = "{\"iss\":\"%s\",\"sub\":\"%s\",\"aud\":\"%s\",\"iat\":%d,\"exp\":%d,\"jti\":\"%s\"}";
        String claims = form.formatted(client, client, address, now(), now() + 60, UUID.randomUUID());
        String assertion = Jws.sign(system, "\"typ\":\"JWT\",\"kid\":\"" + system.kid() + "\"", Jws.bytes(claims));
        String asked = "grant_type=client_credentials&client_assertion=" + assertion
            + "&client_assertion_type=" + ASSERTION;
        HttpResponse<String> granted = send(HttpRequest.newBuilder(URI.create(address + "/oauth/token"))
            .POST(HttpRequest.BodyPublishers.ofString(asked))
            .header("Content-Type", "application/x-www-form-urlencoded"));
        if (granted.statusCode() != 200) throw new IOException("the hub says " + granted.statusCode());
        token = Jws.member(granted.body(), "access_token");
        tokenEnds = now() + Long.parseLong(Jws.member(granted.body(), "expires_in")) - 20;
    }

    private String key(String kid) {
        return keys.stream().filter(each -> kid.equals(Jws.member(each, "kid"))).findFirst().orElse(null);
    }

    private HttpResponse<String> send(HttpRequest.Builder asked) throws IOException, InterruptedException {
        return http.send(asked.timeout(Duration.ofSeconds(10)).build(), HttpResponse.BodyHandlers.ofString());
    }

    private static long now() {
        return Instant.now().getEpochSecond();
    }
}
