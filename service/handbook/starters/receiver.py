"""A participant's receiver: verifies, stores before it says 2xx, keeps order, acts once, answers."""

import json
import sqlite3
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import environ

from hub import Hub, canonical  # the file beside this one
from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # pip install standardwebhooks

HUB = Hub(environ["HUB"], environ["PARTICIPANT"], environ["CLIENT"], environ["CLIENT_KEY"], environ["ANSWER_KEY"])
BOOKS, BUSY = sqlite3.connect(environ["BOOKS"], check_same_thread=False), threading.Lock()
BOOKS.execute("CREATE TABLE IF NOT EXISTS messages (id PRIMARY KEY, hold, sequence INTEGER, data, state, answer)")


def is_genuine(headers, body):
    """Standard Webhooks: one of our secrets (two during a rotation) signed these bytes within five minutes."""
    for secret in environ["SECRETS"].split():
        with suppress(WebhookVerificationError):
            Webhook(secret).verify(body, dict(headers))
            return True
    return False


def receive(headers, body):
    """Return the status for what came: 202 says that it is on the disk, and nothing more."""
    headers = {name.lower(): value for name, value in headers.items()}
    if not is_genuine(headers, body):
        return 401
    data = (event := json.loads(body))["data"]
    if not event["type"].startswith("vn.hoatoc.order."):
        return 204  # a kind of message that you do not know
    try:
        if not HUB.ordered(headers.get("hoatoc-signature"), data):
            return 401
    except OSError:
        return 503  # the hub's keys cannot be read now: the order comes again
    except Exception:
        return 401
    is_end = data["action"] == "silence_ended"  # it overtakes nothing, and nobody awaits an answer
    hold = event["id"] if is_end else data["lifts_order_id"] or data["extends_order_id"] or data["order_id"]
    row = (event["id"], hold, data["sequence"], json.dumps(data), "noted" if is_end else "new")
    with BUSY, BOOKS:
        BOOKS.execute("INSERT OR IGNORE INTO messages VALUES (?, ?, ?, ?, ?, NULL)", row)
    return 202


def act(data):
    """Yours: hold `amount` at most (null: all), lift, block, say what you hold; of a `drill` touch nothing real."""
    print("acted", data["action"], data["order_id"], flush=True)
    held = {"amount_held": data["amount"]} if data["action"] in ("freeze", "read_back") else {}
    return {"outcome": "lifted" if data["action"] == "lift" else "executed", **held}


def work():
    """Take the oldest message that is not over; what a later one about the same hold has overtaken is not obeyed."""
    while True:
        with BUSY, BOOKS:
            query = "SELECT * FROM messages WHERE state IN ('new', 'acted') ORDER BY rowid"
            id, hold, sequence, text, state, body = BOOKS.execute(query).fetchone() or [None] * 6
            data = json.loads(text or "{}")
            if state == "new":
                later = BOOKS.execute("SELECT 1 FROM messages WHERE hold = ? AND sequence > ?", (hold, sequence))
                state = "overtaken" if later.fetchone() else "acted"
                body = canonical(act(data)) if state == "acted" else None
                BOOKS.execute("UPDATE messages SET state = ?, answer = ? WHERE id = ?", (state, body, id))
        try:
            if state == "acted":
                state = "answered" if HUB.answer(data, body) else "refused"
                with BUSY, BOOKS:
                    BOOKS.execute("UPDATE messages SET state = ? WHERE id = ?", (state, id))
        except OSError:
            state = None  # the hub did not take it: once more in a while
        if state:
            print(state, data["action"], data["order_id"], flush=True)
        else:
            time.sleep(0.5)


class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # seconds; the handshake is this thread's too, so whoever says nothing keeps nobody waiting

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 65_536))
        self.send_response(receive(self.headers, body))
        self.send_header("Content-Length", "0")
        self.end_headers()


server = ThreadingHTTPServer(("127.0.0.1", int(environ["PORT"])), Receiver)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(environ["TLS_CERT"], environ["TLS_KEY"])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=work, daemon=True).start()
server.serve_forever()
