// The books of a receiver: a line for each message and each change of its state, only added to, on the disk at once.
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

final class Books {
    private static final Pattern AMOUNT = Pattern.compile("\"amount\":(\\{[^{}]*\\})");
    private final Map<String, Message> messages = new LinkedHashMap<>();
    private final Path file;

    private record Message(String id, String state, String hold, long sequence, String data) { }

    Books(Path file) throws IOException {
        this.file = file;
        if (Files.exists(file)) for (String line : Files.readAllLines(file)) note(line.split("\t"));
    }

    // Store a message that is new; one that has come before is known by its id.
    synchronized void store(String id, String data) throws IOException {
        if (!messages.containsKey(id)) keep(id, "new", data);
    }

    // Take the oldest message that is not over; what a later one about the same hold has overtaken is not obeyed.
    boolean work(Hub hub) {
        try {
            Message next = next();
            if (next == null) return false;
            String order = Jws.member(next.data, "order_id"), path = Jws.member(next.data, "answer_url");
            if (isSilenceEnd(next.data)) keep(next.id, "noted"); // nobody awaits an answer
            else if (next.state.equals("new")) keep(next.id, isOvertaken(next) ? "overtaken" : act(next.data));
            else keep(next.id, hub.answer(order, path, outcome(next.data)) ? "answered" : "refused");
            String state = state(next.id);
            if (!state.equals("acted")) System.out.println(state + " " + Jws.member(next.data, "action") + " " + order);
            return true;
        } catch (Exception notTaken) {
            return false; // once more in a while
        }
    }

    // Yours: hold `amount` at most (null: all there is), lift, block. Your system knows the order's id, and acts once.
    private static String act(String data) {
        System.out.println("acted " + Jws.member(data, "action") + " " + Jws.member(data, "order_id"));
        return "acted";
    }

    private static boolean isSilenceEnd(String data) {
        return Jws.member(data, "action").equals("silence_ended");
    }

    private static String outcome(String data) {
        if (Jws.member(data, "action").equals("lift")) return "{\"outcome\":\"lifted\"}";
        Matcher amount = AMOUNT.matcher(data);
        String held = amount.find() ? "\"amount_held\":" + amount.group(1) + "," : "";
        return "{" + held + "\"outcome\":\"executed\"}";
    }

    private synchronized Message next() {
        return messages.values().stream().filter(one -> one.state.matches("new|acted")).findFirst().orElse(null);
    }

    private synchronized boolean isOvertaken(Message one) {
        return messages.values().stream().anyMatch(by -> by.hold.equals(one.hold) && by.sequence > one.sequence);
    }

    private synchronized String state(String id) {
        return messages.get(id).state;
    }

    private synchronized void keep(String... fact) throws IOException {
        Files.writeString(file, String.join("\t", fact) + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND,
            StandardOpenOption.DSYNC);
        note(fact);
    }

    private void note(String[] fact) {
        String data = fact.length > 2 ? fact[2] : messages.get(fact[0]).data;
        String hold = Jws.member(data, "lifts_order_id");
        if (hold == null) hold = Jws.member(data, "extends_order_id");
        if (hold == null) hold = Jws.member(data, "order_id");
        // The end of a silence overtakes nothing: a disclosure that is not answered is still to be answered.
        if (isSilenceEnd(data)) hold = fact[0];
        long sequence = Long.parseLong(Jws.member(data, "sequence"));
        messages.put(fact[0], new Message(fact[0], fact[1], hold, sequence, data));
    }
}
