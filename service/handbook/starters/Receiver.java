// A participant's receiver: verifies, stores before it says 2xx, keeps order, acts once, answers. Java 17, no library.
import com.sun.net.httpserver.Headers;
import java.io.IOException;
import java.nio.file.*;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.*;

final class Receiver {
    private static final Map<String, String> ENV = System.getenv();
    // The hub sends the members in order and `data` in its RFC 8785 form: what was signed is cut out of what came.
    private static final Pattern EVENT = Pattern.compile("\\{\"data\":(\\{.*\\}),\"datacontenttype\":"
        + "\"application/json\",.*?\"id\":\"(\\w+)\",.*\"type\":\"vn\\.hoatoc\\.order\\.\\w+\"\\}");
    private final Hub hub = new Hub(ENV);
    // The books: one line a fact (id, state, data or answer), only ever added to, on the disk at once.
    private final Path books = Path.of(ENV.get("BOOKS"));
    private final Map<String, Message> messages = new LinkedHashMap<>();

    private record Message(String id, String state, String data, String answer) {
        private String says(String member) {
            return Jws.member(data, member);
        }

        private long sequence() {
            return Long.parseLong(says("sequence"));
        }

        // The end of a silence overtakes nothing: a disclosure that is not answered is still to be answered.
        private String hold() {
            String first = says("lifts_order_id") != null ? says("lifts_order_id") : says("extends_order_id");
            return says("action").equals("silence_ended") ? id : first != null ? first : says("order_id");
        }
    }

    public static void main(String[] none) throws Exception {
        Receiver receiver = new Receiver();
        Https.serve(Integer.parseInt(ENV.get("PORT")), ENV.get("TLS_CERT"), ENV.get("TLS_KEY"), receiver::receive);
        while (true) if (!receiver.work()) Thread.sleep(500);
    }

    private Receiver() throws Exception {
        if (Files.exists(books)) for (String line : Files.readAllLines(books)) note(line.split("\t"));
    }

    // The status for what came: 202 says that it is on the disk, and nothing more.
    private int receive(Headers headers, String body) {
        try {
            if (!Https.isGenuine(ENV.get("SECRETS"), headers, body)) return 401;
            Matcher event = EVENT.matcher(body);
            if (!event.matches()) return 204; // a kind of message that you do not know
            if (!hub.ordered(headers.getFirst("Hoatoc-Signature"), event.group(1))) return 401;
            keep(event.group(2), "new", event.group(1));
            return 202;
        } catch (IOException unread) {
            return 503; // the hub's keys cannot be read now, or the disk is full: the order comes again
        } catch (Exception malformed) {
            return 401;
        }
    }

    // Take the oldest message that is not over; what a later one about the same hold has overtaken is not obeyed.
    private boolean work() {
        try {
            Message next = next();
            if (next == null) return false;
            if (next.says("action").equals("silence_ended")) keep(next.id, "noted"); // nobody awaits an answer
            else if (next.answer == null && isOvertaken(next)) keep(next.id, "overtaken");
            else if (next.answer == null) keep(next.id, "acted", Bank.act(next.data));
            else keep(next.id, hub.answer(next.data, next.answer) ? "answered" : "refused");
            return true;
        } catch (Exception notTaken) {
            return false; // once more in a while
        }
    }

    private synchronized Message next() {
        return messages.values().stream().filter(one -> one.state.matches("new|acted")).findFirst().orElse(null);
    }

    private synchronized boolean isOvertaken(Message one) {
        return messages.values().stream()
            .anyMatch(other -> other.hold().equals(one.hold()) && other.sequence() > one.sequence());
    }

    private synchronized void keep(String... fact) throws IOException {
        if (fact[1].equals("new") && messages.containsKey(fact[0])) return; // it has come before
        Files.writeString(books, String.join("\t", fact) + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND,
            StandardOpenOption.DSYNC);
        note(fact);
        Message kept = messages.get(fact[0]);
        if (fact.length == 2) System.out.println(kept.state + " " + kept.says("action") + " " + kept.says("order_id"));
    }

    private void note(String[] fact) {
        Message known = messages.get(fact[0]);
        String data = known == null ? fact[2] : known.data, answer = known == null ? null : known.answer;
        messages.put(fact[0], new Message(fact[0], fact[1], data, fact[1].equals("acted") ? fact[2] : answer));
    }
}
