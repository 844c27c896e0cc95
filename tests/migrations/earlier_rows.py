"""What the build before 2026-11-29 (schema 0004) left in a database, written as it wrote it: plain SQL, its own keys.

Nothing here asks the code of today how a value is sealed, indexed or chained: that is what an upgrade must still read.
"""

import hashlib
import hmac
import os
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import rfc8785
import sqlalchemy as sa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlmodel.sql.sqltypes import UTCDateTime

ROOT = bytes(range(7, 39))
AGENCY, BANK, HUB = "pc02-79", "ngan-hang-thu", "hoatoc-hub"
AT = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
REQUEST, CASE, TARGET, ORDER, APPROVAL, ENDPOINT, DISPATCH = (UUID(int=number) for number in range(11, 18))
ACCOUNT, HOLDER, BODY, SECRET = "9990000012345", "NGUYEN VAN MAU", '{"action":"freeze"}', "whsec_bWFkZSB1cA=="
NAMES = {"nguyen-van-an": "Nguyễn Văn An", "tran-thi-binh": "Trần Thị Bình"}
CHAIN = f"request:{REQUEST}"
_TYPES: dict[type, Any] = {UUID: sa.Uuid(), datetime: UTCDateTime(), date: sa.Date(), list: sa.JSON()}


def write(connection: sa.Connection) -> None:
    """Lay down a freeze of two officers that a bank has executed, its facts, and a webhook of one person's."""
    for tenant, sector in ((HUB, "hub"), (AGENCY, "agency"), (BANK, "bank")):
        names = {"name_vi": tenant, "name_en": tenant, "short_name": tenant}
        said = {"sector": sector, "status": "active", "to_be_confirmed": False, "created_at": AT}
        _row(connection, "participants", id=tenant, **names, **said)
    for number, (officer, name) in enumerate(NAMES.items()):
        sealed = _sealed("officers", officer, AGENCY, name)
        said = {"rank": "thuong_ta", "number": f"SH-{number}", "powers": ["order", "approve"], "active": True}
        _row(connection, "officers", id=officer, tenant=AGENCY, name_sealed=sealed, created_at=AT, **said)
    _row(connection, "cases", id=CASE, tenant=AGENCY, number="2026/PC02-0417", opened_at=AT)
    _row(
        connection,
        "requests",
        id=REQUEST,
        tenant=AGENCY,
        case_id=CASE,
        reference="HT-261125-ABC123",
        action="freeze",
        state="active",
        urgency="hoa_toc",
        legal_basis="decree_52_11",
        authority_rule="decree_52_11:2024-07-01",
        client_id="pc02-system",
        officer_id="nguyen-van-an",
        approvals_needed=2,
        whole_account=False,
        amount=150_000_000,
        currency="VND",
        document_number="417/YC-PC02",
        document_date=date(2026, 11, 25),
        document_sha256="5e" * 32,
        contact_sealed=_sealed("requests", REQUEST, AGENCY, "{}"),
        starts_at=AT,
        submitted_at=AT,
        ends_at=AT + timedelta(days=3),
        activated_at=AT,
        body_sealed=_sealed("requests", REQUEST, AGENCY, BODY),
        body_sha256=hashlib.sha256(BODY.encode()).hexdigest(),
    )
    _row(
        connection,
        "targets",
        id=TARGET,
        tenant=AGENCY,
        request_id=REQUEST,
        position=0,
        kind="account",
        value_sealed=_sealed("targets", TARGET, AGENCY, ACCOUNT),
        institution=BANK,
        intimate=False,
        value_index=_index(AGENCY),
        holder_sealed=_sealed("targets", TARGET, AGENCY, HOLDER),
    )
    _row(
        connection,
        "approvals",
        id=APPROVAL,
        tenant=AGENCY,
        request_id=REQUEST,
        officer_id="tran-thi-binh",
        client_id="pc02-system",
        kind="approval",
        body_sha256="5e" * 32,
        approved_at=AT,
    )
    _row(
        connection,
        "orders",
        id=ORDER,
        tenant=AGENCY,
        participant_id=BANK,
        request_id=REQUEST,
        target_id=TARGET,
        action="freeze",
        state="executed",
        sequence=1,
        subject_index=_index(BANK),
        lift_ordered=False,
        placed_at=AT,
        changed_at=AT,
        ends_at=AT + timedelta(days=3),
        amount=150_000_000,
        amount_held=120_000_000,
    )
    _row(
        connection,
        "endpoints",
        id=ENDPOINT,
        tenant=BANK,
        channel="webhook",
        purpose="orders",
        url="https://orders.bank.example/x",
        network="203.0.113.0/24",
        port=443,
        secret_sealed=_sealed("endpoints", ENDPOINT, BANK, SECRET),
        max_in_flight=8,
        timeout_seconds=10,
        position=1,
        inbox_position=0,
        active=True,
        created_at=AT,
    )
    _row(
        connection,
        "dispatches",
        id=DISPATCH,
        tenant=AGENCY,
        participant_id=BANK,
        kind="order",
        channel="webhook",
        endpoint_id=ENDPOINT,
        message_type="vn.hoatoc.order.placed",
        state="delivered",
        urgent=True,
        message_sealed=_sealed("dispatches", DISPATCH, AGENCY, BODY),
        attempts=1,
        created_at=AT,
        request_id=REQUEST,
        order_id=ORDER,
        settled_at=AT,
    )
    _facts(connection, ("request.submitted", "request.approved", "order.placed", "order.executed"))


def execute_clock(connection: sa.Connection, generation: int, at: datetime, state: str) -> None:
    """Lay down a clock for the execution of the order, set ``at`` and in ``state``."""
    about = {"subject_kind": "order", "subject_id": ORDER, "request_id": REQUEST, "participant_id": BANK}
    said = {"started_at": at, "due_at": at + timedelta(hours=1), "state": state, "generation": generation}
    _row(connection, "deadlines", tenant=AGENCY, chain=CHAIN, stage="execute", rung=0, **about, **said)


def _facts(connection: sa.Connection, codes: tuple[str, ...]) -> None:
    previous = bytes(32)
    for sequence, code in enumerate(codes, 1):
        actor, data = {"kind": "client", "id": "pc02-system", "tenant": AGENCY}, '{"action":"freeze"}'
        said = {"chain": CHAIN, "sequence": sequence, "tenant": AGENCY, "code": code, "data": data}
        at = (AT + timedelta(seconds=sequence)).isoformat(timespec="microseconds")
        record = {**said, "request_id": str(REQUEST), "actor": actor, "at": at, "previous": previous.hex()}
        digest = hashlib.sha256(b"\x00" + rfc8785.dumps(record)).digest()
        _row(
            connection,
            "audit_entries",
            **said,
            **{f"actor_{name}": value for name, value in actor.items()},
            request_id=REQUEST,
            at=datetime.fromisoformat(at),
            previous=previous,
            hash=digest,
        )
        previous = digest
    _row(connection, "audit_heads", chain=CHAIN, tenant=AGENCY, sequence=len(codes), hash=previous)


def _row(connection: sa.Connection, table: str, **values: Any) -> None:
    columns = [sa.column(name, _TYPES.get(type(value))) for name, value in values.items()]
    connection.execute(sa.insert(sa.table(table, *columns)).values(values))


def _key(label: str, name: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"hoatoc|{label}|{name}".encode()).derive(ROOT)


def _sealed(table: str, row: object, tenant: str, text: str) -> bytes:
    nonce = os.urandom(12)
    return (
        b"\x01"
        + nonce
        + AESGCM(_key("seal", tenant)).encrypt(nonce, text.encode(), f"{table}|{row}|{tenant}|1".encode())
    )


def _index(scope: str) -> bytes:
    return hmac.new(_key("index", scope), f"account\x00{ACCOUNT}".encode(), hashlib.sha256).digest()
