"""Signs the orders in the contract's examples anew: run ``python tests/contract/sign_examples.py`` when one changed.

The key is drawn here, is shown as the current one in ``getSigningKeys`` and kept nowhere: examples prove nothing.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785

from service.security import signatures
from service.security.keyring import SigningKey
from service.security.signatures import Kind

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "openapi" / "examples"
HEADERS = ROOT / "service" / "contract" / "participant.py"
MADE = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
_WIDTH = 96


def main() -> None:
    """Sign what has a signature, and write the files."""
    key = SigningKey.generate(not_before=MADE, not_after=MADE + timedelta(days=365))

    def signed(body: dict[str, Any]) -> str:
        payload = rfc8785.dumps(body)
        at = MADE + timedelta(seconds=1)
        return signatures.sign(key.private, key.kid, Kind.ORDER, payload, at=at, about=body["order_id"])

    with _Example("tokens/getSigningKeys") as shown:
        (current,) = (each for each in shown["responses"]["200"]["keys"] if each["state"] == "current")
        current |= {name: key.public_jwk()[name] for name in ("x", "y")} | {"kid": key.kid}
    with _Example("orders/listOrders") as shown:
        for item in shown["responses"]["200"]["items"]:
            item["signature"] = signed(item["body"])
    with _Example("orders/getOrder") as shown:
        order = shown["responses"]["200"]
        order["signature"] = signed(order["body"])
    event = json.loads((EXAMPLES / "webhooks" / "receiveOrder.json").read_text("utf-8"))["request"]
    text = signed(event["data"])
    lines = "".join(f'        "{text[at : at + _WIDTH]}"\n' for at in range(0, len(text), _WIDTH))
    source, count = re.subn(
        r'("Hoatoc-Signature": \(\n)(?: +"[\w.-]+"\n)+', lambda head: head[1] + lines, HEADERS.read_text("utf-8")
    )
    if count != 1:
        raise SystemExit(f"{HEADERS} shows {count} signatures, not one")
    HEADERS.write_text(source, "utf-8")


class _Example:
    """One file, read at the beginning and written at the end."""

    def __init__(self, name: str) -> None:
        self._path = EXAMPLES / f"{name}.json"
        self._value: dict[str, Any] = json.loads(self._path.read_text("utf-8"))

    def __enter__(self) -> dict[str, Any]:
        return self._value

    def __exit__(self, *_: object) -> None:
        self._path.write_text(json.dumps(self._value, ensure_ascii=False, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
