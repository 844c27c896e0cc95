"""A node looks at itself: in production what is grave stops the start, and every address that is called is named."""

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import Builder
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi.routing import iter_route_contexts
from typer.testing import CliRunner, Result

from service import app as wiring
from service import cli, clock, db, i18n
from service.cli import running
from service.engine.hub import Hub
from service.security import keyfile
from service.security.keyring import SigningKey
from service.selfcheck import build, database, endpoints, keys, means, outbound, published, start
from service.selfcheck.check import Check
from service.settings import Settings
from service.supply import lock

# What a person or a browser asks for, the stream that the contract tells of in words (its operations have one answer
# each), and the two addresses that stay inside (metrics, and the committed contract).
PAGES = {
    "/v1/orders/stream",
    *("/sign-in", "/sign-in/provider", "/sign-in/provider/back", "/sign-in/provider/ended"),
    *("/sign-in/passkey", "/sign-in/passkey/begin", "/sessions", "/sessions/ends", "/sessions/left", "/sessions/stays"),
    *("/sessions/passkeys", "/sessions/passkeys/removals"),
    *("/wall", "/wall/events", "/displays", "/displays/ends"),
    *("/", "/sign-in/{token}", "/sign-out", "/officer/key", "/appeals/{reference}", "/static", "/metrics"),
    *("/board", "/board/events", "/orders/{order_id}"),
    *("/orders/{order_id}/letter.pdf", "/orders/{order_id}/escalations"),
    *("/tasks", "/tasks/{task_id}/resolutions", "/escalations", "/about"),
    *("/participants", "/participants/{participant_id}", "/requests/{request_id}/notes"),
    *(f"/participants/{{participant_id}}/{each}" for each in ("maintenance", "maintenance-ends")),
    *(
        "/requests/{request_id}/follow-ups",
        "/handover",
        "/mine",
        "/requests/{request_id}/case",
        "/requests/{request_id}/case.csv",
        "/requests/{request_id}/answers",
        "/requests/{request_id}/answers.csv",
        "/requests/{request_id}/next-hop",
        "/requests/{request_id}/case.svg",
    ),
    *("/audit", "/audit/requests/{request_id}", "/audit/verify", "/requests/{request_id}/evidence"),
    *("/requests/{request_id}/ladders", "/requests/{request_id}/custody"),
    *("/delivery", "/delivery/events", "/delivery/previews", "/delivery/replays"),
    *("/requests/{request_id}", "/requests/{request_id}/approve", "/requests/{request_id}/approve/content.json"),
    *("/requests/new", "/requests/new/digest", "/requests/new/paper/file", "/requests/new/sign/content.json"),
    *(
        f"/requests/new/{step}"
        for step in ("action", "text", "found", "targets", "measure", "asked", "window", "amount")
    ),
    *(f"/requests/new/{step}" for step in ("payment", "case", "basis", "urgency", "end", "document", "paper")),
    *("/requests/new/contact", "/requests/new/check", "/requests/new/sign", "/requests/{request_id}/receipt"),
    *("/requests/{request_id}/callbacks", "/docs", "/openapi.json", "/openapi/{contract}.v1.json"),
}
ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 29, tzinfo=UTC)
GOOD_PASSWORD = "u7Kq0vXc2mZr94Lt"
Settle = Callable[..., Settings]


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOATOC_") and "TEST" not in name]:
        monkeypatch.delenv(name)


@pytest.fixture
def settle(tmp_path: Path) -> Iterator[Settle]:
    """Make the settings of a good production node, with changes."""

    def make(password: str = GOOD_PASSWORD, **changes: Any) -> Settings:
        good: dict[str, Any] = {
            "data_dir": tmp_path / "data",
            "database_url": f"postgresql+asyncpg://hub_login:{password}@db.hub.vn/hoatoc?ssl=verify-full",
            "issuer": "https://hoatoc.bca.vn",
            "own_networks": ("10.1.0.0/16",),
        }
        return Settings(**{**good, **changes})

    yield make


def _states(found: Any) -> dict[str, str]:
    return {check.name: check.says for check in found if check.state != "ok"}


def _stops(chosen: Settings) -> set[str]:
    try:
        start.look(chosen)
    except start.NotFit as unfit:
        return {f"{check.name}.{check.says}" for check in unfit.found}
    return set()


def _doctor(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["doctor", *arguments], catch_exceptions=False)


def test_a_good_production_node_starts_and_has_nothing_to_say(settle: Settle) -> None:
    assert start.look(settle()) == ()


# --- no default secret ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password",
    [
        *("PASSWORD", "password", "changeme", "change-me", "Change_Me", "postgres", "hoatoc", "hub_login", "HUB-LOGIN"),
        *("secret", "admin", "root", "example", "123456", "aaaaaaaaaaaaaaaa", "%24%7BHOATOC_DB_PASSWORD%7D", "xxxx"),
        *("%3Cpassword%3E", "%E2%80%A6", "matkhau", "M%E1%BA%ADt%20kh%E1%BA%A9u", "Passw0rd"),
    ],
)
def test_a_default_secret_of_the_database_stops_the_start(settle: Settle, password: str) -> None:
    assert _stops(settle(password)) == {"secret.default"}


@pytest.mark.parametrize("password", ["changeme", "relay", "Secret"])
def test_a_default_secret_of_the_mail_relay_stops_the_start(settle: Settle, password: str) -> None:
    assert _stops(settle(smtp_host="relay.hub.vn", smtp_user="relay", smtp_password=password)) == {"secret.default"}


def test_a_secret_of_any_other_url_of_the_settings_is_looked_at_too() -> None:
    class More(Settings):
        replica_url: str = "postgresql+asyncpg://reader:reader@db/hoatoc"

    assert _states(means.before_start(More()))["secret"] == "default"


def test_every_password_that_our_own_pages_show_is_refused() -> None:
    texts = [path.read_text("utf-8") for path in (ROOT / "service" / "handbook").rglob("*.md")]
    texts += [(ROOT / name).read_text("utf-8") for name in ("README.md", "compose.yaml", "Dockerfile", "CHANGELOG.md")]
    shown = {found for text in texts for found in re.findall(r"postgresql\+asyncpg://[\w-]+:([^@\s`]+)@", text)}
    assert "PASSWORD" in shown and len(shown) >= 2
    # compose's own form of a required variable: ${NAME:?why}
    plain = {re.sub(r":\?[^}]*", "", each) for each in shown}
    assert [each for each in plain if not published.is_placeholder(each, "hoatoc")] == []


def test_a_short_password_is_named_and_a_random_one_is_not(settle: Settle) -> None:
    found = list(means.before_start(settle("k3Vx9")))
    assert _states(found) == {"secret": "short"} and not any(check.grave for check in found)
    assert _states(means.before_start(settle(smtp_host="relay.hub.vn", smtp_password=GOOD_PASSWORD))) == {
        "mail.sender": "placeholder"
    }


def test_no_sentence_repeats_a_secret(settle: Settle) -> None:
    chosen = settle("changeme", smtp_host="relay.hub.vn", smtp_user="relay", smtp_password="letmein", smtp_tls="none")
    said = [check.sentence(lang) for check in means.before_start(chosen) for lang in i18n.LANGUAGES]
    said += [check.sentence("en") for check in outbound.look(chosen)]
    assert not [text for text in said if "changeme" in text or "letmein" in text or "hub_login" in text]
    assert "db.hub.vn:5432" in str(said) and "relay.hub.vn:25" in str(said)


# --- the settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "stops"),
    [
        ({"issuer": ""}, {"issuer.plain"}),
        ({"issuer": "http://hoatoc.bca.vn"}, {"issuer.plain"}),
        ({"issuer": "https://localhost:8470"}, {"issuer.loopback"}),
        ({"issuer": "https://127.0.0.1"}, {"issuer.loopback"}),
        ({"issuer": "https://[::1]:8470"}, {"issuer.loopback"}),
        ({"issuer": "https://hoatoc.example.vn"}, {"issuer.placeholder"}),
        ({"issuer": "https://hub.test"}, {"issuer.placeholder"}),
        (
            {"smtp_host": "relay.hub.vn", "smtp_password": GOOD_PASSWORD, "smtp_tls": "none"},
            {"mail.tls.password_in_clear"},
        ),
    ],
)
def test_a_start_in_production_is_stopped(settle: Settle, changes: dict[str, Any], stops: set[str]) -> None:
    assert _stops(settle(**changes)) == stops


def test_what_is_not_grave_is_said_and_stops_nothing(settle: Settle) -> None:
    chosen = settle(
        database_url=f"postgresql+asyncpg://hub_login:{GOOD_PASSWORD}@db.hub.vn/hoatoc",
        own_networks=(),
        host="0.0.0.0",
        log_level="debug",
        smtp_host="relay.hub.vn",
        smtp_tls="none",
    )
    said = {check.name: (check.state, check.says) for check in start.look(chosen)}
    assert said == {
        "database.tls": ("warning", "unverified"),
        "own_networks": ("warning", "none"),
        "listening": ("warning", "open"),
        "debugging": ("warning", "log"),
        "mail.tls": ("warning", "clear"),
        "mail.sender": ("warning", "placeholder"),
    }


def test_the_embedded_edition_says_what_it_is_and_the_demo_is_never_open_to_strangers(settle: Settle) -> None:
    embedded = settle(database_url=None, issuer="")
    assert [(check.name, check.says) for check in start.look(embedded)] == [("edition", "embedded")]
    demo = settle(database_url=None, issuer="", profile="demo")
    assert start.look(demo) == ()
    for database_url in (None, settle().database_url):
        assert _stops(settle(database_url=database_url, profile="demo", host="0.0.0.0")) == {"listening.demo"}
    assert _states(means.fit_for_production(demo)) == {"production": "demo", "edition": "embedded"}


@pytest.mark.parametrize("variable", ["PYTHONASYNCIODEBUG", "PYTHONINSPECT"])
def test_debugging_stops_the_start(settle: Settle, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    assert _stops(settle()) == {"debugging.on"}


def test_a_file_of_settings_that_others_may_read_stops_the_start(
    settle: Settle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "hub.env"
    file.write_text("")
    monkeypatch.setenv("HOATOC_ENV_FILE", str(file))
    file.chmod(0o640)
    assert _stops(settle()) == {"environment.readable"}
    file.chmod(0o600)
    assert _stops(settle()) == set()


# --- keys -------------------------------------------------------------------------------------------------------------


def _key(folder: Path, name: str, private: ec.EllipticCurvePrivateKey | None = None, days: int = 90) -> Path:
    made = private or ec.generate_private_key(ec.SECP256R1())
    keyfile.save(
        SigningKey.of(made, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=days)), folder / name
    )
    return folder / name


@pytest.fixture
def folder(settle: Settle) -> Path:
    made = settle().keys_dir
    made.mkdir(parents=True, mode=0o700)
    return made


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o400)
    return path


def test_good_keys_are_good_and_one_that_ends_is_named(folder: Path) -> None:
    _key(folder, "token-current.jwk")
    _write(folder / "vault.key", os.urandom(32))
    # A token's PIN, which may lie beside them, is no random bytes.
    _write(folder / "token.pin", b"271828")
    assert _states(keys.look(folder, NOW)) == {}
    _key(folder, "order-current.jwk", days=5)
    assert _states(keys.look(folder, NOW)) == {"keys.order": "ends"}
    assert _states(keys.look(folder, NOW + timedelta(days=6)))["keys.order"] == "ended"


@pytest.mark.parametrize("name", ["vault.key", "vault-2-ab12.key"])
@pytest.mark.parametrize("content", [b"k" * 32, bytes(32), bytes(range(8)) * 4, b"changeme" * 4])
def test_a_master_key_that_is_a_pattern_stops_the_start(
    settle: Settle, folder: Path, content: bytes, name: str
) -> None:
    _write(folder / name, content)
    assert _stops(settle()) == {"keys.known.pattern"}


@pytest.mark.parametrize(
    "d",
    ["jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI", "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"],
    ids=["RFC 7515", "RFC 7517"],
)
def test_a_signing_key_that_is_printed_in_a_standard_stops_the_start(settle: Settle, folder: Path, d: str) -> None:
    private = ec.derive_private_key(int.from_bytes(base64.urlsafe_b64decode(d + "=")), ec.SECP256R1())
    _key(folder, "token-current.jwk", private)
    assert "keys.known.printed" in _stops(settle())


def test_modes_and_owners_that_let_others_in_stop_the_start(
    settle: Settle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _key(folder, "token-current.jwk", days=4000)
    path.chmod(0o440)
    assert _stops(settle()) == {"keys.mode.open"}
    path.chmod(0o400)
    folder.chmod(0o770)
    assert _stops(settle()) == {"keys.folder.writable"}
    folder.chmod(0o700)
    assert _stops(settle()) == set()
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    assert _stops(settle()) == {"keys.owner.foreign"}


def test_a_key_file_that_is_none_stops_the_start(settle: Settle, folder: Path) -> None:
    _write(folder / "token-current.jwk", b"{}")
    assert _stops(settle()) == {"keys.token.unfit"}


# --- the build --------------------------------------------------------------------------------------------------------


def test_another_backend_of_the_token_library_stops_the_start(settle: Settle, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> None:
        raise RuntimeError("python-jose does not use the cryptography backend")

    monkeypatch.setattr("service.security.tokens.assert_backend", wrong)
    assert _stops(settle()) == {"token.backend.wrong"}


def test_packages_that_are_not_the_locked_ones_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _states(build.packages()) == {}
    assert _states(build.versions()) == {}
    monkeypatch.setattr("service.supply.installed.differing", lambda pins: ["h11: 0.1, locked 0.16.0"])
    monkeypatch.setattr("service.supply.installed.altered", lambda pins: ["h11/_readers.py"])
    assert [check.sentence("en") for check in build.packages()] == [
        "1 differ from the lock: h11: 0.1, locked 0.16.0",
        "1 installed files were changed: h11/_readers.py",
    ]
    lock.pins.cache_clear()
    monkeypatch.setattr("service.supply.lock.LOCK", tmp_path / "none.txt")
    assert [(check.state, check.says) for check in build.packages()] == [("unknown", "no_lock")]
    lock.pins.cache_clear()


# --- the database -----------------------------------------------------------------------------------------------------


async def test_every_address_that_is_sent_to_is_named_and_an_unbound_one_fails(hub: Hub, build: Builder) -> None:
    await build.participant("bank-a")
    await build.endpoint("bank-a")
    await build.endpoint("bank-a", url="https://127.0.0.1/x", network="127.0.0.0/8", position=2)
    await build.endpoint("bank-a", url="https://old.bank-a.example/x", active=False, position=3)
    await build.participant("bank-b")
    await build.endpoint("bank-b", network=None, approved=False)
    async with hub.database.read(db.HUB) as conn:
        found = await database.destinations(conn)
    assert [(check.says, check.params["participant"]) for check in found] == [
        ("loopback", "bank-a"),
        ("ok", "bank-a"),
        ("unbound", "bank-b"),
    ]
    assert found[1].sentence("en") == "bank-a: https://bank-a.example/orders, in 203.0.113.0/24 at port 443 only"


async def test_a_webhook_that_nobody_let_pass_and_certificates_that_end_are_named(hub: Hub, build: Builder) -> None:
    await build.participant("bank-a")
    far, near, over = (pem_until(clock.utc_now() + timedelta(days=days)) for days in (31, 29, -1))
    await build.endpoint("bank-a", ca_pem=far, client_certificate=far)
    await build.participant("bank-b")
    await build.endpoint("bank-b", ca_pem=far + near, client_certificate=over)
    await build.endpoint("bank-b", url="https://new.bank-b.example/x", ca_pem=far, approved=False, position=2)
    await build.endpoint("bank-b", url="https://old.bank-b.example/x", ca_pem=over, active=False, position=3)
    assert endpoints.look in database.FOR_PRODUCTION
    async with hub.database.read(db.HUB) as conn:
        found = [(each.name, each.state, each.says) for each in await endpoints.look(conn) if each.state != "ok"]
        sentences = [each.sentence(lang) for each in await endpoints.look(conn) for lang in i18n.LANGUAGES]
    assert sorted(found) == [
        ("endpoint.approval", "warning", "none"),
        ("endpoint.ca", "warning", "ends"),
        ("endpoint.client", "failed", "ended"),
    ]
    assert not [sentence for sentence in sentences if "{" in sentence]


def pem_until(end: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(days=400), end)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


async def test_the_hubs_login_is_bound_by_policies_and_an_embedded_hub_says_that_it_has_none(hub: Hub) -> None:
    async with hub.database.read(db.HUB) as conn:
        found = await database.isolation(conn)
    expected = ("ok", "ok") if hub.database.dialect == "postgresql" else ("warning", "embedded")
    assert [(check.state, check.says) for check in found] == [expected]


# --- the commands -----------------------------------------------------------------------------------------------------


def _settings_of(monkeypatch: pytest.MonkeyPatch, folder: Path, **values: str) -> None:
    for name, value in {"DATA_DIR": str(folder), **values}.items():
        monkeypatch.setenv(f"HOATOC_{name}", value)


def test_serve_and_worker_end_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[object] = []
    monkeypatch.setattr(running, "_serve", lambda *a, **k: opened.append(a))
    monkeypatch.setattr(running, "_work", lambda *a, **k: opened.append(a))
    url = "postgresql+asyncpg://hoatoc:PASSWORD@127.0.0.1:9/hoatoc"
    _settings_of(monkeypatch, tmp_path, DATABASE_URL=url, ISSUER="https://hoatoc.bca.vn")
    for command in ("serve", "worker"):
        result = CliRunner().invoke(cli.app, [command], catch_exceptions=False)
        assert result.exit_code == 1 and opened == []
        assert "failed: secret: HOATOC_DATABASE_URL holds a default" in result.stderr
        assert "PASSWORD@" not in result.stderr


def test_the_doctor_for_production_judges_in_both_languages_and_names_what_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"postgresql+asyncpg://hub_login:{GOOD_PASSWORD}@127.0.0.1:9/hoatoc"
    _settings_of(monkeypatch, tmp_path, DATABASE_URL=url, ISSUER="https://hoatoc.bca.vn", SMTP_HOST="relay.hub.vn")
    english = _doctor("--production", "--json")
    assert english.exit_code == 1
    rows = json.loads(english.stdout)
    assert {row["name"] for row in rows if row["state"] == "failed"} == {"database"}
    assert [row["detail"] for row in rows if row["name"] == "outbound"] == [
        "the database: 127.0.0.1:9",
        "the mail relay: relay.hub.vn:25",
    ]
    assert {"secret", "issuer", "packages", "files", "python", "openssl", "production", "edition"} <= {
        row["name"] for row in rows
    }
    vietnamese = json.loads(_doctor("--production", "--json", "--lang", "vi").stdout)
    assert [(row["state"], row["name"], row["code"]) for row in vietnamese] == [
        (row["state"], row["name"], row["code"]) for row in rows
    ]
    assert "máy chủ thư: relay.hub.vn:25" in {row["detail"] for row in vietnamese}
    assert len(json.loads(_doctor("--json").stdout)) < len(rows)


def test_what_could_not_be_looked_at_counts_as_wrong_for_production(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def well(*a: object, **k: object) -> list[Check]:
        return []

    monkeypatch.setattr(database, "look", well)
    url = f"postgresql+asyncpg://hub_login:{GOOD_PASSWORD}@127.0.0.1:9/hoatoc"
    _settings_of(monkeypatch, tmp_path, DATABASE_URL=url, ISSUER="https://hoatoc.bca.vn")
    assert _doctor("--production").exit_code == 0
    monkeypatch.setattr(build, "packages", lambda: iter([Check("packages", "unknown", "no_lock", {"path": "x"})]))
    assert _doctor("--production").exit_code == 1


def test_a_whole_application_has_the_promised_routes_the_pages_and_nothing_else(hub: Hub) -> None:
    """No debug route, no docs of the framework, no test hook: a new address is named here or in the contract."""
    made = wiring.create_app(hub)
    assert (made.debug, made.docs_url, made.redoc_url, made.openapi_url) == (False, None, None, None)
    promised = json.loads((ROOT / "openapi" / "hub.v1.json").read_text())["paths"]
    addresses = {str(getattr(context, "path", context)) for context in iter_route_contexts(made.routes)}
    assert addresses - {*promised} == PAGES
    methods = {
        method for context in iter_route_contexts(made.routes) for method in getattr(context, "methods", None) or ()
    }
    assert methods <= {"GET", "HEAD", "POST", "PUT", "DELETE"}
