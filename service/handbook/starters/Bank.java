// Yours, and the only file that you change: hold `amount` at most (null: all there is), lift, block; of a read_back say
// what you hold; of a `drill` touch nothing real. It is asked once for each message, by the order's id.
import java.util.regex.Matcher;
import java.util.regex.Pattern;

final class Bank {
    private static final Pattern AMOUNT = Pattern.compile("\"amount\":(\\{[^{}]*\\})");

    private Bank() { }

    // Return the answer, in its RFC 8785 form.
    static String act(String data) {
        System.out.println("acted " + Jws.member(data, "action") + " " + Jws.member(data, "order_id"));
        if (Jws.member(data, "action").equals("lift")) return "{\"outcome\":\"lifted\"}";
        Matcher amount = AMOUNT.matcher(data);
        String held = amount.find() ? "\"amount_held\":" + amount.group(1) + "," : "";
        return "{" + held + "\"outcome\":\"executed\"}";
    }
}
