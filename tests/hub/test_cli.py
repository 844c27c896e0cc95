"""The command line: plain or JSON answers, one clear line for an expected error, and never a second writer."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import registry_forms as forms
from command_line import Run, administrator, clean, new_key

from service import app, clock, contract
from service.certification import report
from service.certification.exam import Result
from service.certification.joining import Applicant, Where
from service.engine import node
from service.settings import Settings
from workflows import conformance
from workflows.conformance import Profile, Verdict
from workflows.terms import Sector

pytest_plugins = ["command_fixtures"]
_SERVE = "from service import cli; cli.main()"


def test_the_first_steps_lead_to_a_member_that_may_file(ready: Run, tmp_path: Path) -> None:
    _, public = new_key(ready, tmp_path)
    assert ready("enroll", "agency", "pc02-79").exit_code == 0
    officer = ("--rank", "thuong_ta", "--number", "SH-1", "--power", "order", "--power", "approve")
    officer = (*officer, "--appointed-until", "2027-06-30T17:00:00")
    assert ready("enroll", "officer", "pc02-79", "can-bo-1", *officer, input="Nguyễn Văn Thử\n").exit_code == 0
    roles = ("--role", "maker", "--role", "approver")
    made = ready("enroll", "client", "pc02-79", "pc02-79-core", *roles, "--key", str(public), "--json")
    assert json.loads(made.stdout)["roles"] == ["approver", "maker"]
    shown = json.loads(ready("participant", "show", "pc02-79", "--json").stdout)
    assert (shown["status"], shown["to_be_confirmed"]) == ("active", False)
    assert [each["id"] for each in shown["clients"]] == ["pc02-79-core"]
    assert [each["rank"] for each in shown["officers"]] == ["thuong_ta"]
    assert [each["appointed_until"] for each in shown["officers"]] == ["2027-06-30T17:00:00Z"]
    assert "Nguyễn" not in json.dumps(shown, ensure_ascii=False)
    renew = ("participant", "renew-officer", "pc02-79", "can-bo-1", "--until", "2028-06-30T17:00:00", "--json")
    assert json.loads(ready(*renew).stdout)["appointed_until"] == "2028-06-30T17:00:00Z"
    assert "not_found" in clean(ready("participant", "renew-officer", "pc02-79", "ai-do", *renew[4:6]))
    assert ready("audit", "verify").exit_code == 0


def test_a_supervisor_a_bank_and_what_they_receive_are_registered(ready: Run, tmp_path: Path) -> None:
    bank = ("enroll", "participant", "bank-z", "--sector", "bank", "--name-vi", "Ngân hàng Z", "--name-en", "Bank Z")
    assert json.loads(ready(*bank, "--alias", "bin=999999", "--json").stdout)["created"]
    assert ready("enroll", "supervisor", "sbv").exit_code == 0
    (tmp_path / "ca.pem").write_text(forms.CA_PEM)
    hook = ("--webhook", "https://orders.bank.example/x", "--network", "203.0.113.0/24")
    hook = (*hook, "--ca", str(tmp_path / "ca.pem"))
    made = json.loads(ready("endpoint", "propose", "bank-z", *hook, "--json").stdout)
    assert made["secret"].startswith("whsec_")
    assert made["approved_sha256"] is None
    turned = json.loads(ready("participant", "rotate-secret", "bank-z", made["id"], "--json").stdout)
    assert turned["secret"] not in (None, made["secret"])
    duty = ("--name", "Trực ban", "--email", "truc@bank.example", "--hours", "22:00-06:00")
    contact = json.loads(ready("participant", "contact", "bank-z", *duty, "--json").stdout)
    assert ready("participant", "remove-contact", "bank-z", contact["id"]).exit_code == 0
    for command, status in (("suspend", "suspended"), ("resume", "active")):
        assert ready("participant", command, "bank-z").exit_code == 0
        assert json.loads(ready("participant", "show", "bank-z", "--json").stdout)["status"] == status
    found = json.loads(ready("participant", "list", "--sector", "bank", "-q", "bank-z", "--json").stdout)
    assert [(each["id"], each["supervisor_id"]) for each in found] == [("bank-z", "sbv")]


def test_an_endpoint_takes_two_administrators_and_the_second_ones_key(ready: Run, tmp_path: Path) -> None:
    first, second = (administrator(ready, tmp_path, name) for name in ("quan-tri-1", "quan-tri-2"))
    ready("enroll", "participant", "acb")
    asked = ready("endpoint", "client-key", "hub.example.vn").stdout
    (tmp_path / "hub.pem").write_text(forms.certified(asked))
    (tmp_path / "ca.pem").write_text(forms.CA_PEM)
    hook = ("--network", "10.20.4.0/24", "--ca", str(tmp_path / "ca.pem"), "--client-cert", str(tmp_path / "hub.pem"))
    made = json.loads(
        ready("endpoint", "propose", "acb", "--webhook", "https://orders.acb.example/x", *hook, *first, "--json").stdout
    )
    (waiting,) = json.loads(ready("endpoint", "proposals", "--json").stdout)
    assert (waiting["sha256"], waiting["proposed_by"]) == (made["sha256"], "quan-tri-1")
    assert waiting["client_certificate"] == (tmp_path / "hub.pem").read_text()
    what = ("acb", made["id"], "--sha256", made["sha256"])
    assert "endpoint.same_person" in clean(ready("endpoint", "approve", *what, *first))
    for short in ("abc", made["sha256"].upper()):
        line = clean(ready("endpoint", "approve", *what[:2], "--sha256", short, *second))
        assert "64 hexadecimal digits" in line and "as propose printed" in line
    stolen = (*second[:2], *first[2:])
    assert "token.refused" in clean(ready("endpoint", "approve", *what, *stolen))
    other = ("acb", made["id"], "--sha256", "0" * 64)
    assert "endpoint.other_definition" in clean(ready("endpoint", "approve", *other, *second))
    approved = json.loads(ready("endpoint", "approve", *what, *second, "--json").stdout)
    assert approved["approved_sha256"] == made["sha256"]
    change = ("--webhook", "https://new.acb.example/x", *hook, "--instead-of", made["id"], "--batch", "--json")
    changed = json.loads(ready("endpoint", "propose", "acb", *change).stdout)
    assert (changed["batch"], approved["batch"]) == (True, False)
    # The proposal's own id leads there too.
    refusal = ("acb", changed["id"], "--sha256", changed["sha256"], "--json")
    assert json.loads(ready("endpoint", "refuse", *refusal).stdout)["state"] == "refused"
    (shown,) = json.loads(ready("participant", "show", "acb", "--json").stdout)["endpoints"]
    assert shown["url"] == "https://orders.acb.example/x"
    assert "--by goes with --key" in clean(ready("endpoint", "propose", "acb", "--pull", "--by", "quan-tri-1"))
    assert ready("audit", "verify").exit_code == 0


def test_a_proposal_says_in_words_that_it_waits_and_how_it_is_approved(ready: Run, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(forms.CA_PEM)
    ready("enroll", "participant", "acb")
    hook = ("--webhook", "https://orders.acb.example/x", "--network", "10.20.4.0/24", "--ca", str(tmp_path / "ca.pem"))
    said = dict(line.split(": ", 1) for line in ready("endpoint", "propose", "acb", *hook).stdout.splitlines())
    assert "active" not in said and "another administrator" in said["state"] and said["secret"].startswith("whsec_")
    line = f"hoatoc endpoint approve acb {said['id']} --sha256 {said['sha256']} --by"
    assert said["next"].startswith(line)
    changed = ready("endpoint", "propose", "acb", *hook, "--instead-of", said["id"]).stdout
    assert f"hoatoc endpoint approve acb {said['id']} --sha256" in changed and "active" not in changed


def test_a_wrong_field_is_named_before_anything_else(ready: Run) -> None:
    line = clean(ready("enroll", "participant", "bank-z", "--sector", "bank"))
    assert line.startswith("error: /name_vi: ") and "At least one field" not in line


def test_who_may_not_read_the_keys_is_told_whose_they_are(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "data" / "keys" / "vault.key"))

    monkeypatch.setattr(app, "masters", refuse)
    monkeypatch.setattr(Path, "owner", lambda path: "hoatoc")
    assert run("db", "upgrade").exit_code == 0
    line = clean(run("keys", "list"))
    assert "vault.key" in line and "belongs to hoatoc" in line and "run it as hoatoc" in line


def test_without_a_terminal_a_list_is_its_heads_and_one_plain_line_each(ready: Run) -> None:
    lines = ready("participant", "list", "--sector", "supervisor").stdout.splitlines()
    assert lines[0].split("\t")[:3] == ["id", "sector", "status"]
    assert [line.split("\t")[:3] for line in lines if line.startswith("sbv")] == [["sbv", "supervisor", "active"]]
    assert not re.search("[\x1b│┃─]", "".join(lines))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("participant", "show", "nobody"), "not_found"),
        (("enroll", "agency", "No Slug"), "id: "),
        (("enroll", "participant", "bank-z", "--sector", "bank"), "/name_vi"),
        (("endpoint", "propose", "sbv"), "exactly one of"),
        (
            ("endpoint", "propose", "sbv", "--webhook", "https://a.example", "--network", "10.0.0.0/24"),
            "--ca is needed",
        ),
        (("endpoint", "propose", "sbv", "--webhook", "https://a.example", "--ca", "ca.pem"), "--network is"),
        (("participant", "contact", "sbv", "--name", "x", "--email", "a@b.example", "--hours", "noon"), "HH:MM"),
        (("policy", "show", "no-such"), "not_found"),
        (("policy", "set", "missing.toml"), "missing.toml"),
        (("token", "nobody", "--key", "missing.jwk"), "missing.jwk"),
        (("sign-in-link", "somebody", "--role", "maker"), "role.not_for_sector"),
    ],
)
def test_an_expected_error_is_one_line_and_a_code(ready: Run, arguments: tuple[str, ...], says: str) -> None:
    assert says in clean(ready(*arguments))


def test_a_wrong_setting_is_named_and_not_repeated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOATOC_PORT", "s3cret")
    line = clean(run("participant", "list"))
    assert "port" in line
    assert "s3cret" not in line


def test_a_database_of_another_schema_is_not_worked_on(run: Run) -> None:
    assert "hoatoc db upgrade" in clean(run("participant", "list"))


def test_a_private_key_is_readable_by_its_owner_alone_and_never_enrolled(ready: Run, tmp_path: Path) -> None:
    private, public = new_key(ready, tmp_path)
    assert private.stat().st_mode & 0o777 == 0o400
    assert "d" not in json.loads(public.read_text())
    clean(ready("keygen", str(private)))
    enroll = ("enroll", "client", "sbv", "sbv-core", "--role", "supervisor", "--key")
    assert "private key" in clean(ready(*enroll, str(private)))
    private.chmod(0o440)
    assert "key.file_mode" in clean(ready("token", "sbv-core", "--key", str(private)))


def test_a_signature_key_is_registered_beside_a_running_hub_and_never_a_private_one(ready: Run, tmp_path: Path) -> None:
    ready("enroll", "agency", "pc02-79")
    officer = ("--rank", "thuong_ta", "--number", "SH-1", "--power", "approve")
    ready("enroll", "officer", "pc02-79", "can-bo-1", *officer, input="Nguyễn Văn Thử\n")
    private, public = new_key(ready, tmp_path)
    enroll = ("enroll", "key", "pc02-79", "--officer", "can-bo-1")
    with node.lock(tmp_path / "data" / "hoatoc.sqlite3.lock"):
        made = json.loads(ready(*enroll, "--key", str(public), "--json").stdout)
    assert made["kid"] == json.loads(public.read_text())["kid"]
    # What the officer's page prints: the key itself, and a credential id that may begin with a dash.
    _, other = new_key(ready, tmp_path, "passkey")
    members = {name: value for name, value in json.loads(other.read_text()).items() if name in {"kty", "crv", "x", "y"}}
    assert ready(*enroll, "--key", json.dumps(members), "--credential-id=-Ab_9").exit_code == 0
    shown = json.loads(ready("participant", "show", "pc02-79", "--json").stdout)
    assert sorted(key["purpose"] for key in shown["keys"]) == ["passkey", "signature"]
    assert "private key" in clean(ready(*enroll, "--key", str(private)))
    assert "private key" in clean(ready(*enroll, "--key", private.read_text()))
    assert "officer.unknown" in clean(ready("enroll", "key", "pc02-79", "--officer", "ai-do", "--key", str(public)))
    assert "no JSON" in clean(ready(*enroll, "--key", "{"))
    assert ready("enroll", "key", "vietcombank", "--key", str(new_key(ready, tmp_path, "bank")[1])).exit_code == 0
    assert ready("audit", "verify").exit_code == 0


def test_what_writes_is_refused_while_a_hub_holds_the_embedded_database(ready: Run, tmp_path: Path) -> None:
    with node.lock(tmp_path / "data" / "hoatoc.sqlite3.lock"):
        for command in (("db", "upgrade"), ("db", "load"), ("participant", "suspend", "sbv")):
            assert "another process holds" in clean(ready(*command))
        assert "another process holds" in clean(ready("serve"))
        assert ready("participant", "show", "sbv").exit_code == 0
        # A person who must look now does not have the hub stopped for it.
        assert "/sign-in/" in ready("sign-in-link", "a").stdout
    assert ready("participant", "suspend", "sbv").exit_code == 0


def test_whoever_reads_the_names_of_a_duty_roster_at_the_machine_is_on_record(ready: Run, tmp_path: Path) -> None:
    contact = ("participant", "contact", "vietcombank", "--email", "truc@bank.example")
    assert ready(*contact, input="Lê Văn Trực\n").exit_code == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "hoatoc.sqlite3")) as database:
        read = "SELECT chain, data FROM audit_entries WHERE code = 'person.opened'"
        assert ready("participant", "show", "acb", "--json").exit_code == 0 and database.execute(read).fetchall() == []
        shown = json.loads(ready("participant", "show", "vietcombank", "--json").stdout)
        assert [each["name"] for each in shown["contacts"]] == ["Lê Văn Trực"]
        [(chain, data)] = database.execute(read).fetchall()
    assert chain == "tenant:vietcombank"
    assert json.loads(data) == {"participant_id": "vietcombank", "view": "roster"}


def test_a_duty_phone_is_set_and_taken_away(ready: Run) -> None:
    made = ready("participant", "duty-phone", "ca-tinh-79", "+842838387342", "--json")
    assert json.loads(made.stdout) == {"participant_id": "ca-tinh-79", "phone": "+842838387342"}
    assert json.loads(ready("participant", "show", "ca-tinh-79", "--json").stdout)["duty_phone"] == "+842838387342"
    assert "phone" in clean(ready("participant", "duty-phone", "ca-tinh-79", "113"))
    assert ready("participant", "duty-phone", "ca-tinh-79").exit_code == 0
    assert json.loads(ready("participant", "show", "ca-tinh-79", "--json").stdout)["duty_phone"] is None


def test_a_policy_is_shown_and_a_newer_one_set(ready: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    shown = ready("policy", "show", "vn-default").stdout
    file.write_text(shown)
    assert "policy.version" in clean(ready("policy", "set", str(file)))
    file.write_text(shown.replace("version = 2", "version = 7"))
    assert json.loads(ready("policy", "set", str(file), "--json").stdout)["version"] == 7
    assert json.loads(ready("policy", "show", "--json").stdout)["version"] == 7
    file.write_text("name = 1")
    assert "name: a text" in clean(ready("policy", "set", str(file)))


def test_the_audit_names_what_was_edited_and_exits_with_1(ready: Run, tmp_path: Path) -> None:
    ready("enroll", "agency", "pc02-79")
    good = ready("audit", "verify", "--json")
    assert json.loads(good.stdout)["findings"] == []
    with sqlite3.connect(tmp_path / "data" / "hoatoc.sqlite3") as base:
        base.execute("UPDATE audit_entries SET actor_id = 'nobody' WHERE chain = 'tenant:pc02-79'")
    base.close()
    bad = ready("audit", "verify")
    assert bad.exit_code == 1
    assert bad.stdout.splitlines()[0] == "edited\ttenant:pc02-79\t1"


def test_the_doctor_names_what_must_be_put_right(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def states() -> tuple[int, dict[str, str]]:
        result = run("doctor", "--json")
        found = json.loads(result.stdout)
        worst = sorted(found, key=lambda check: ["ok", "warning", "failed"].index(check["state"]))
        return result.exit_code, {check["name"]: check["state"] for check in worst}

    assert states() == (1, {**states()[1], "database": "failed", "keys": "warning"})
    run("db", "upgrade")
    code, found = states()
    assert (code, found["schema"], found["directory"], found["calendar"]) == (1, "ok", "failed", "failed")
    run("db", "load")
    monkeypatch.setenv("HOATOC_SMTP_HOST", "relay.example")
    code, found = states()
    # An embedded database never keeps tenants apart by itself: that is said as long as it is used.
    assert found.pop("isolation") == "warning"
    assert (code, set(found.values())) == (0, {"ok"})
    assert {"token.backend", "keys.mode", "keys.token", "schema", "clock", "directory", "calendar", "mail"} <= set(
        found
    )
    (tmp_path / "data" / "keys" / "vault.key").chmod(0o444)
    monkeypatch.setenv("HOATOC_PROFILE", "demo")
    code, found = states()
    assert (code, found["keys.mode"], found["profile"]) == (1, "failed", "warning")


def test_the_contract_is_written_and_a_difference_found(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "documents", lambda: {"hub.v1.json": {"info": "Hỏa Tốc"}})
    folder = tmp_path / "openapi"
    assert run("openapi", str(folder), "--check").exit_code == 1
    assert not folder.exists()
    assert run("openapi", str(folder)).exit_code == 0
    assert run("openapi", str(folder), "--check").stdout == ""
    (folder / "hub.v1.json").write_text('{"info": "another"}')
    changed = run("openapi", str(folder), "--check")
    assert (changed.exit_code, changed.stdout) == (1, "hub.v1.json: /info\n")


def test_an_embedded_database_takes_no_worker_of_its_own(run: Run) -> None:
    assert "one process" in clean(run("worker"))
    assert "one process" in clean(run("serve", "--no-worker"))


def test_a_hub_whose_port_is_taken_says_only_that_and_opens_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("HOATOC_PORT", str(port))
        served = subprocess.run(
            [sys.executable, "-c", _SERVE, "serve"], capture_output=True, text=True, timeout=60, check=False
        )
    said = [line for line in served.stderr.splitlines() if line]
    assert (served.returncode, served.stdout, len(said)) == (1, "", 1), served.stderr
    assert said[0].startswith(f"error: port {port} of 127.0.0.1 is taken") and "HOATOC_PORT" in said[0]


def test_a_hub_whose_address_is_another_machines_says_which_settings_are_wrong(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOATOC_HOST", "192.0.2.1")
    assert "cannot listen on 192.0.2.1:8470 (HOATOC_HOST, HOATOC_PORT)" in clean(run("serve"))


def test_a_served_hub_gives_tokens_keeps_writers_out_and_stops_cleanly(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = new_key(run, tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HOATOC_PORT", str(probe.getsockname()[1]))
    token = ("token", "sbv-core", "--key", str(private))
    assert run("db", "upgrade").exit_code == run("db", "load").exit_code == 0
    enrolled = run("enroll", "client", "sbv", "sbv-core", "--role", "supervisor", "--key", str(public))
    assert enrolled.exit_code == 0, enrolled.stderr
    assert "connect.failed" in clean(run(*token))
    with subprocess.Popen([sys.executable, "-c", _SERVE, "serve"], stderr=subprocess.PIPE, text=True) as served:
        try:
            assert served.stderr is not None
            assert any("listens on" in line for line in served.stderr), "the hub did not start"
            granted = json.loads(run(*token, "--json").stdout)
            assert granted["access_token"].count(".") == 2
            assert run(*token).stdout.count(".") == 2
            assert "refuses the client: 401" in clean(run("token", "nobody", "--key", str(private)))
            # What the two commands print is what a call by hand needs.
            port, path = os.environ["HOATOC_PORT"], "/v1/escalations?limit=1"
            proof = ("proof", "GET", path, "--key", str(private), "--token", granted["access_token"])
            headers = {"Authorization": f"DPoP {granted['access_token']}", "DPoP": run(*proof).stdout.strip()}
            assert httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers).status_code == 200
            assert "no access token" in clean(run(*proof[:-1], "nonsense"))
            assert "another process holds" in clean(run("participant", "suspend", "sbv"))
        finally:
            os.kill(served.pid, signal.SIGINT)
            rest = served.communicate(timeout=30)[1]
    assert served.returncode == 0, rest
    assert "Traceback" not in rest
    assert run("participant", "suspend", "sbv").exit_code == 0


def test_in_production_an_endpoint_needs_the_report_that_this_hub_signed(
    ready: Run, tmp_path: Path, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOATOC_CERTIFICATION")
    second = administrator(ready, tmp_path, "quan-tri-2")
    (tmp_path / "ca.pem").write_text(forms.CA_PEM)
    ready("enroll", "participant", "acb")
    hook = ("--webhook", "https://orders.acb.example/x", "--network", "10.20.4.0/24", "--ca", str(tmp_path / "ca.pem"))
    made = json.loads(ready("endpoint", "propose", "acb", *hook, "--json").stdout)
    what = ("acb", made["id"], "--sha256", made["sha256"], *second)
    assert "endpoint.not_certified" in clean(ready("endpoint", "approve", *what))
    assert "endpoint.not_certified" in clean(ready("endpoint", "propose", "acb", "--pull"))

    where = Where("https://orders.acb.example/x", "10.20.4.0/24", forms.CA_PEM)
    applicant = Applicant("acb", Sector.BANK, Profile.BANK_WEBHOOK, "acb-test", {}, {}, where)
    passed = [Result(case, Verdict.PASSED, None, ()) for case in conformance.cases(Profile.BANK_WEBHOOK, Sector.BANK)]
    for self_test, refusal in ((True, "certification.hub"), (False, None)):
        by = report.signer(Settings(), self_test=self_test)
        kept = report.made(applicant, passed, clock.utc_now(), by)
        path, page = report.write(kept, by, tmp_path / "report", ("vi", "en"))
        assert ("Self-test" in page.read_text(), kept.hub is None) == (self_test, self_test)
        shown = ready("certify", "--verify", str(path))
        assert shown.exit_code == 0 and "Passed" in shown.stdout
        took = ("endpoint", "certified", "acb", "--report", str(path))
        if refusal:
            assert refusal in clean(ready(*took))
        else:
            assert json.loads(ready(*took, "--json").stdout)["host"] == "orders.acb.example"
    assert ready("endpoint", "approve", *what).exit_code == 0
    path.write_text(path.read_text().replace("orders.acb", "orders.abc"))
    assert "signature" in clean(ready("certify", "--verify", str(path)))
    seen = json.loads(ready("doctor", "--production", "--json").stdout)
    assert [each["state"] for each in seen if each["name"] == "endpoint.certification"] == ["ok"]
