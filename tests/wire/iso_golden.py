"""The golden files of the ISO 20022 adapter, and the handbook's exchange: ``python tests/wire/iso_golden.py``."""

from pathlib import Path

import iso_orders
from iso_bank import Bank

from adapters.answers import Moved, Traced
from adapters.base import Endpoint
from adapters.iso20022 import schemas, terms
from adapters.iso20022.adapter import Iso20022
from workflows.terms import Channel

PAGE = Path(__file__).parents[2] / "service" / "handbook" / "en" / "iso20022.md"
# The exchange that the handbook shows, by golden file: what each message is.
SHOWN = {
    "1-freeze.camt.103": "The order",
    "1a-received.camt.025": "Received",
    "1b-held.camt.047": "Executed, in part",
    "4-lift.camt.049": "The lift",
    "4a-lifted.camt.025": "Lifted",
    "11-trace.auth.001": "The trace",
    "11b-traced-more.auth.002": "Traced, and there was more",
}
FOLDER = Path(__file__).parent / "golden" / "iso20022"
HUB = Iso20022(iso_orders.HUB, lambda at: (iso_orders.HUB_KID, iso_orders.HUB_KEY))
ENDPOINT = Endpoint(
    id="bank", channel=Channel.ISO20022, url="https://bank.example/iso20022", bin="970436", bic="BFTVVNVX"
)

# What an account of nobody's did, the largest first.
MOVED = (
    Moved(
        "in",
        (200_000_000, "VND"),
        "2026-11-23T06:00:00Z",
        "transfer",
        {"kind": "account", "value": "9704000000001", "institution": "970422"},
    ),
    Moved(
        "out",
        (120_000_000, "VND"),
        "2026-11-23T09:36:00Z",
        "top_up",
        {"kind": "wallet", "value": "0980000002", "institution": "MoMo"},
    ),
    Moved("out", (20_000_000, "VND"), "2026-11-23T14:24:00Z", "cash"),
)


def answers() -> dict[str, bytes]:
    """Return one of each answer, by the name of its golden file; the key and the clock are fixed."""
    bank = Bank(iso_orders.BANK_KEY, iso_orders.BANK_KID)
    freeze, lift = terms.reference(iso_orders.HOLD, 1), terms.reference(iso_orders.order_id(4), 4)
    disclosed = {
        "holder_name": "NGUYEN VAN MAU",
        "holder_document": "national_id 079095000000",
        "holder_birth_date": "1995-01-01",
        "contact_phone": "+84900000003",
        "opened_on": "2026-10-30",
        "state": "open",
    }
    return {
        "1a-received.camt.025": bank.receipt(freeze, "PDNG", answers=schemas.FREEZE),
        "1b-held.camt.047": bank.held(freeze, 120_000_000),
        "1c-refused.camt.025": bank.receipt(freeze, "RJCT", "BE01", answers=schemas.FREEZE),
        "1d-not-mine.camt.025": bank.receipt(freeze, "RJCT", "AGNT", answers=schemas.FREEZE, ported_to="970422"),
        "4a-lifted.camt.025": bank.receipt(lift, "CLSD", answers=schemas.LIFT),
        "7a-returned.camt.029": bank.resolution(iso_orders.order_id(7), "ACCR", 90_000_000),
        "7b-not-returned.camt.029": bank.resolution(iso_orders.order_id(7), "RJCR", reason="AM04"),
        "8a-disclosed.auth.002": bank.disclosed(iso_orders.order_id(8), **disclosed),
        "8b-no-such-account.auth.002": bank.disclosed(iso_orders.order_id(8), "NFOU"),
        "1e-not-processed.admi.002": bank.reject(f"{1:032x}"),
        "11a-traced.auth.002": bank.traced(iso_orders.order_id(11), Traced(MOVED, has_more=False)),
        "11b-traced-more.auth.002": bank.traced(iso_orders.order_id(11), Traced(MOVED[:1], has_more=True)),
        "11c-nothing-moved.auth.002": bank.traced(iso_orders.order_id(11), Traced((), has_more=False)),
    }


def made() -> dict[str, bytes]:
    """Return all golden files as the code makes them now."""
    orders = {name: HUB.written(message, ENDPOINT) for name, message in iso_orders.ORDERS.items()}
    return {f"{name}.xml": content for name, content in {**orders, **answers()}.items()}


def exchange() -> str:
    """Return the end of the handbook's page: the messages of one exchange, as they are on the wire."""
    shown = made()
    return "".join(f"### {said}\n\n```xml\n{shown[f'{name}.xml'].decode()}```\n\n" for name, said in SHOWN.items())


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.xml"):
        old.unlink()
    for name, content in made().items():
        (FOLDER / name).write_bytes(content)
    text = PAGE.read_text("utf-8")
    begin = text.find(f"### {next(iter(SHOWN.values()))}\n")
    PAGE.write_text((text if begin < 0 else text[:begin]) + exchange().rstrip() + "\n", "utf-8")
