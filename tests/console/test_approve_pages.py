"""A second officer reads exactly what he signs, and signs it: with a key file, a passkey, or a line made elsewhere."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import bounding
import pytest
import steps
import world as worlds
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_desk import Desk, key_file
from console_site import Open, Watched
from joserfc.jwk import ECKey
from playwright.sync_api import Page, Request

from service import i18n
from service.console import forms
from service.security import keyring, passkeys, signatures
from service.security.signatures import Kind
from workflows.terms import Role

BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
NARROW = {"width": 320, "height": 640}
AXE = Axe()
ANSWER = re.compile(r"/requests/[^/]+/approve$")


def account(**more: Any) -> dict[str, Any]:
    """A target of its own, so that no two holds of these tests meet; the number is made up."""
    number = "999" + "".join(secrets.choice("0123456789") for _ in range(10))
    return {"kind": "account", "value": number, "institution": "970436", "holder_name": "NGUYEN VAN MAU", **more}


def freeze(**changes: Any) -> dict[str, Any]:
    return worlds.freeze(**{"target": account(), **changes})


def signs_with_file(page: Page, path: Path, lang: str = "vi") -> None:
    page.locator("#key-file").set_input_files(path)
    page.get_by_role("button", name={"vi": "Ký bằng tệp khóa", "en": "Sign with the key file"}[lang]).click()


def says(page: Page, selector: str, words: str) -> None:
    there = "([at, words]) => document.querySelector(at)?.innerText.includes(words)"
    page.wait_for_function(there, arg=[selector, words], timeout=30_000)


def check(watched: Watched, lang: str) -> None:
    """Check what holds on every page."""
    assert watched.page.locator("html").get_attribute("lang") == lang
    words = watched.page.locator("body").inner_text()
    assert not re.search(r"\bNone\b|\bTrue\b|\[\[|undefined|console\.\w|terms\.\w|Undefined", words), words
    found = AXE.run(watched.page)
    assert found.violations_count == 0, found.generate_report()
    # Chromium would rather that any kind of key was taken.
    assert (watched.foreign, [line for line in watched.errors if "pubKeyCredParams" not in line]) == ([], [])


def authenticator(page: Page) -> Callable[[bool], None]:
    """Give the browser a security key that answers by itself; ``verify(False)`` makes it not know its person."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable", {"enableUI": False})
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    def verify(is_verified: bool) -> None:
        session.send("WebAuthn.setUserVerified", {**made, "isUserVerified": is_verified})

    return verify


def make_passkey(desk: Desk, page: Page, officer: str = "approver") -> tuple[dict[str, str], str]:
    """Make a passkey on the officer's page and register what that page shows; return public key and credential id."""
    page.goto(f"{desk.address}/officer/key")
    page.locator("#make-passkey").click()
    page.locator("#made").wait_for()
    shown = json.loads(page.locator("#made-key").inner_text())
    credential = page.locator("#made-credential").inner_text()
    desk.register(officer, shown, credential)
    return shown, credential


def choose(page: Page, credential: str) -> None:
    """Choose a passkey; while the officer has one alone, the list of them is hidden."""
    page.locator("#passkey").evaluate("(list, chosen) => { list.value = chosen; }", credential)


@pytest.fixture(scope="module")
def papers(desk: Desk) -> dict[str, UUID]:
    """One request of each kind that waits for a second officer."""
    standing = desk.run(desk.world.active(freeze()))
    return {
        "freeze": desk.file(freeze()),
        "whole": desk.file(freeze(amount=None, whole_account={"reason": "<b>Nghi</b> rửa tiền & tẩu tán"})),
        "extend": desk.file(steps.extend({"request_id": standing.id, "ends_at": standing.ends_at}, days=2)),
        "preserve": desk.file(steps.preserve(account(), account(), legal_basis="cpc_129")),
        "emergency": desk.file(steps.emergency(target=account())),
    }


@pytest.mark.parametrize(("lang", "scheme"), [("vi", "light"), ("en", "light"), ("vi", "dark")])
def test_every_kind_of_paper_is_readable_and_accessible(
    desk: Desk, papers: dict[str, UUID], at_desk: Open, lang: str, scheme: str
) -> None:
    watched = at_desk(color_scheme=scheme)
    for request_id in papers.values():
        watched.page.goto(f"{desk.page(request_id)}?lang={lang}")
        assert watched.page.locator("#by-file").is_visible()
        check(watched, lang)
    # What one officer may order alone has nothing for a second one to sign, and can be read all the same.
    hosts = [{"kind": "domain", "value": f"mau-{number}.example.com"} for number in range(40)]
    for address in (desk.page(desk.file(worlds.takedown(*hosts))), f"{desk.address}/officer/key"):
        watched.page.goto(f"{address}?lang={lang}")
        assert watched.page.locator("#signing").count() == 0
        check(watched, lang)


@BOTH
def test_nothing_scrolls_sideways_at_320_pixels(desk: Desk, papers: dict[str, UUID], at_desk: Open, lang: str) -> None:
    page = at_desk(viewport=NARROW).page
    for address in [*map(desk.page, papers.values()), f"{desk.address}/officer/key"]:
        page.goto(f"{address}?lang={lang}")
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], address


def test_the_page_shows_the_very_text_and_says_each_part_of_it_in_words(desk: Desk, at_desk: Open) -> None:
    ends_at = desk.run(steps.now(desk.world)) + timedelta(hours=20)
    body = freeze(ends_at=ends_at.isoformat(), contact={"name": "Trực ban", "phone": "+84283000111"})
    request_id = desk.file(body)
    page = at_desk(java_script_enabled=False).page
    page.goto(desk.page(request_id))
    raw = desk.run(desk.world.filed_bytes(request_id))
    content = signatures.canonical(raw).decode()
    assert page.locator("#content").text_content() == content
    served = page.request.get(f"{desk.page(request_id)}/content.json")
    assert served.body() == content.encode()
    # Saved under the name that the page's command reads.
    named = re.fullmatch(r'attachment; filename="(HT-[0-9A-Z-]+\.json)"', served.headers["content-disposition"])
    assert named and f"hoatoc sign {named[1]} " in page.content()
    words = page.locator(".groups").inner_text()
    for said in (
        "Phong tỏa",
        "150.000.000\N{NO-BREAK SPACE}₫",
        forms.moment(ends_at),
        "bằng chữ: một trăm năm mươi triệu đồng",
        body["target"]["value"],
        "NGUYEN VAN MAU",
        "Hỏa tốc",
        "01/2026/CA",
        "15/QD-PC02",
        "20/11/2026",
        "ab" * 32,
        "Thượng tá 079-maker",
        "Trực ban",
        "+84283000111",
    ):
        assert said in words, said


def test_a_whole_account_another_hold_and_an_unreviewed_hold_are_warned_of(
    desk: Desk, papers: dict[str, UUID], at_desk: Open
) -> None:
    target = account()
    desk.run(desk.world.active(freeze(target=target)))
    whole = desk.file(freeze(target=target, amount=None, whole_account={"reason": "Tiền đang bị rút dần"}))
    page = at_desk().page
    page.goto(desk.page(whole))
    warned = page.locator(".warnings").inner_text()
    assert "Toàn bộ tài khoản" in warned and "Tiền đang bị rút dần" in warned
    assert "Đang có biện pháp giữ khác trên cùng đối tượng tại Vietcombank" in warned
    assert "TOÀN BỘ" in page.locator(".does").inner_text()
    page.goto(desk.page(papers["emergency"]))
    assert "Không được xác nhận lại trước" in page.locator(".warnings").inner_text()


@BOTH
def test_a_key_file_signs_inside_the_browser_and_activates_the_request(
    desk: Desk, at_desk: Open, tmp_path: Path, lang: str
) -> None:
    request_id = desk.file(freeze())
    watched = at_desk()
    sent: list[Request] = []
    watched.page.on("request", lambda request: sent.append(request))
    watched.page.goto(f"{desk.page(request_id)}?lang={lang}")
    signs_with_file(watched.page, desk.key_file(tmp_path), lang)
    says(watched.page, ".said.good h2", {"vi": "Bạn đã phê duyệt", "en": "You approved it"}[lang])
    assert "Vietcombank" in watched.page.locator(".said.good").inner_text()
    assert watched.page.locator("#signing").count() == 0
    check(watched, lang)
    assert desk.state(request_id) == "active"
    (approval,) = desk.signed(request_id)
    assert approval["officer_id"] == "approver"
    # What left the browser is the signature; the key did not.
    secret = desk.world.keys["approver"].as_dict(private=True)["d"]
    assert any(request.method == "POST" for request in sent)
    assert not any(secret in f"{request.url} {request.post_data}" for request in sent)


def test_a_key_file_reviews_an_emergency_hold(desk: Desk, at_desk: Open, tmp_path: Path) -> None:
    request_id = desk.file(steps.emergency(target=account()))
    page = at_desk().page
    page.goto(f"{desk.address}/requests/{request_id}")
    page.get_by_role("link", name="Xem và xác nhận lại").click()
    assert "Xem xét lại biện pháp khẩn cấp" in page.locator(".sheet-head").inner_text()
    signs_with_file(page, desk.key_file(tmp_path))
    says(page, ".said.good h2", "Bạn đã xác nhận lại biện pháp")
    (review,) = desk.signed(request_id)
    assert (review["kind"], review["officer_id"]) == ("review", "approver")


@BOTH
def test_a_wrong_key_file_is_told_at_once_and_nothing_is_sent(
    desk: Desk, at_desk: Open, tmp_path: Path, lang: str
) -> None:
    request_id = desk.file(freeze())
    page = at_desk().page
    page.goto(f"{desk.page(request_id)}?lang={lang}")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    stranger = ECKey.generate_key("P-256")
    signs_with_file(page, key_file(tmp_path, stranger), lang)
    says(page, "#signing-said", stranger.thumbprint())
    public = tmp_path / "public.json"
    public.write_text(json.dumps(desk.world.keys["approver"].as_dict(private=False)))
    for wrong in (public, Path(__file__)):
        signs_with_file(page, wrong, lang)
        says(page, "#signing-said", {"vi": "không phải khóa riêng", "en": "no private P-256 key"}[lang])
    page.locator("#sign-file").click()
    says(page, "#signing-said", {"vi": "Hãy chọn tệp", "en": "Choose your private key"}[lang])
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    assert (sent, desk.state(request_id)) == ([], "awaiting_approval")


def test_a_text_that_was_changed_on_the_page_is_not_signed(desk: Desk, at_desk: Open, tmp_path: Path) -> None:
    request_id = desk.file(freeze())
    page = at_desk().page
    page.goto(desk.page(request_id))
    page.evaluate("document.getElementById('content').textContent += ' '")
    signs_with_file(page, desk.key_file(tmp_path))
    says(page, "#signing-said", "không khớp với dấu SHA-256")
    assert desk.state(request_id) == "awaiting_approval"


@BOTH
def test_a_signature_made_elsewhere_is_pasted_without_scripts(desk: Desk, at_desk: Open, lang: str) -> None:
    request_id = desk.file(freeze())
    page = at_desk(java_script_enabled=False).page
    page.goto(f"{desk.page(request_id)}?lang={lang}")
    assert not page.locator("#by-file").is_visible() and not page.locator("#by-passkey").is_visible()
    assert f"--approve {request_id}" in page.locator("#by-paste").inner_text()
    send = page.get_by_role("button", name={"vi": "Gửi chữ ký", "en": "Send the signature"}[lang])
    page.locator("#signature").fill(desk.sign(request_id, "junior"))
    with page.expect_response(ANSWER) as answer:
        send.click()
    assert answer.value.status == 403
    refusal = page.locator(".said.bad").inner_text()
    assert "signature.key_unknown" in refusal
    assert {"vi": "nhờ quản trị trung tâm đăng ký", "en": "administrator register it"}[lang] in refusal
    assert desk.state(request_id) == "awaiting_approval"
    page.locator("#signature").fill(f"  {desk.sign(request_id)}\n")
    send.click()
    assert {"vi": "Yêu cầu có hiệu lực", "en": "The request is active"}[lang] in page.locator(".said.good").inner_text()
    assert desk.state(request_id) == "active"


@pytest.fixture
def tight(desk: Desk) -> Iterator[None]:
    """A hub at which one freeze is more than an officer may do in an hour."""
    everything = {"count": 1_000_000, "amount": 10**15}
    desk.run(bounding.set_bounds(desk.hub, {"subject": "officer", "kind": "holds", "amount": 1_000_000}))
    yield
    desk.run(
        bounding.set_bounds(desk.hub, *({"subject": each, **everything} for each in ("officer", "agency", "pair")))
    )


@BOTH
@pytest.mark.usefixtures("tight")
def test_what_is_held_for_a_call_back_is_told_to_whoever_signed(desk: Desk, at_desk: Open, lang: str) -> None:
    request_id = desk.file(freeze())
    watched = at_desk()
    watched.page.goto(f"{desk.page(request_id)}?lang={lang}")
    excess = i18n.texts(lang)["terms.excess.officer_amount"]
    assert excess in watched.page.locator(".warnings").inner_text()
    watched.page.locator("#signature").fill(desk.sign(request_id))
    watched.page.get_by_role("button", name={"vi": "Gửi chữ ký", "en": "Send the signature"}[lang]).click()
    says(watched.page, ".said.warn h2", {"vi": "giữ lại chờ gọi xác minh", "en": "held for a call-back"}[lang])
    assert excess in watched.page.locator(".said.warn").inner_text()
    check(watched, lang)
    assert desk.state(request_id) == "held_for_callback"


def test_each_refusal_says_what_to_do(desk: Desk, at_desk: Open) -> None:
    request_id, twin = desk.file(freeze()), desk.file(freeze())
    watched = at_desk()
    page = watched.page
    good = desk.sign(request_id)
    cases = {
        "signature.malformed": "x",
        "signature.about": desk.sign(twin),
        "signature.type": desk.sign(request_id, kind=Kind.REVIEW),
        "signature.invalid": good[:-8] + ("A" * 8 if good[-8:] != "A" * 8 else "B" * 8),
    }
    for code, text in cases.items():
        page.goto(desk.page(request_id))
        page.locator("#signature").fill(text)
        page.get_by_role("button", name="Gửi chữ ký").click()
        says(page, ".said.bad", code)
        assert "Việc cần làm" in page.locator(".said.bad").inner_text()
        assert page.locator("#signing").count() == 1
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    # Somebody else was faster: the page says that there is nothing left to sign.
    desk.run(desk.world.approve(request_id))
    page.locator("#signature").fill(desk.sign(request_id))
    page.get_by_role("button", name="Gửi chữ ký").click()
    says(page, ".said.bad", "request.not_awaiting_approval")
    assert page.locator("#signing").count() == 0


@BOTH
def test_a_passkey_is_made_registered_and_signs(desk: Desk, at_desk: Open, lang: str) -> None:
    request_id = desk.file(freeze())
    watched = at_desk()
    page = watched.page
    authenticator(page)
    page.goto(f"{desk.address}/?lang={lang}")
    public, credential = make_passkey(desk, page)
    page.goto(desk.page(request_id))
    choose(page, credential)
    page.get_by_role("button", name={"vi": "Ký bằng khóa truy cập", "en": "Sign with a passkey"}[lang]).click()
    says(page, ".said.good h2", {"vi": "Bạn đã phê duyệt", "en": "You approved it"}[lang])
    check(watched, lang)
    assert desk.state(request_id) == "active"
    # What is kept proves itself with the public key alone.
    (approval,) = desk.signed(request_id)
    key, kid = keyring.public_key(public)
    kept = signatures.read(approval["signature"], Kind.APPROVAL)
    assert (kept.kid, kept.about, kept.purpose) == (kid, str(request_id), "passkey")
    assert kept.assertion is not None and kept.assertion.origin == passkeys.origin_of(desk.address)
    payload = signatures.canonical(desk.run(desk.world.filed_bytes(request_id)))
    signatures.verify(kept, payload, key)
    with pytest.raises(signatures.SignatureRefused):
        signatures.verify(kept, payload + b" ", key)


def test_a_passkey_that_does_not_verify_its_person_signs_nothing(desk: Desk, at_desk: Open) -> None:
    request_id = desk.file(freeze())
    page = at_desk().page
    verify = authenticator(page)
    _, credential = make_passkey(desk, page)
    page.goto(desk.page(request_id))
    choose(page, credential)
    verify(False)
    page.locator("#sign-passkey").click()
    says(page, "#signing-said", "Khóa truy cập chưa ký")
    assert desk.state(request_id) == "awaiting_approval"


def test_a_key_file_made_on_the_page_is_downloaded_registered_and_signs(
    desk: Desk, at_desk: Open, tmp_path: Path
) -> None:
    page = at_desk().page
    sent: list[Request] = []
    page.goto(f"{desk.address}/officer/key")
    page.on("request", lambda request: sent.append(request))
    with page.expect_download() as download:
        page.get_by_role("button", name="Tạo tệp khóa").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    private = json.loads(path.read_text())
    assert private.keys() == {"kty", "crv", "x", "y", "d", "kid", "use", "alg", "nbf", "exp"}
    assert [request.url for request in sent if request.method == "POST" or "?" not in request.url] == []
    shown = json.loads(page.locator("#made-key").inner_text())
    assert "d" not in shown and private["d"] not in page.content()
    assert page.locator("#made-thumbprint").inner_text() == private["kid"]
    command = page.locator("#made-command").inner_text()
    assert command.startswith(f"hoatoc enroll key {worlds.AGENCY} --officer approver --key '{{")

    request_id = desk.file(freeze())
    page.goto(desk.page(request_id))
    signs_with_file(page, path)
    says(page, "#signing-said", private["kid"])  # nobody has registered it yet
    desk.register("approver", shown)
    page.goto(f"{desk.address}/officer/key")
    assert private["kid"] in page.locator(".keys").inner_text()
    page.goto(desk.page(request_id))
    signs_with_file(page, path)
    says(page, ".said.good h2", "Bạn đã phê duyệt")


def test_without_scripts_the_page_for_keys_names_the_command_that_makes_one(desk: Desk, at_desk: Open) -> None:
    page = at_desk(java_script_enabled=False).page
    page.goto(f"{desk.address}/officer/key")
    assert "hoatoc keygen" in page.locator("#unable").inner_text()
    assert not page.locator("#making").is_visible() and not page.locator("#made").is_visible()


def test_nobody_but_an_approver_who_did_not_file_it_gets_a_form(desk: Desk, at_desk: Open) -> None:
    request_id = desk.file(freeze())
    desk.run(steps.second_officer(desk.world))
    people = {
        "approver": ("Chỉ cán bộ đăng nhập với vai trò phê duyệt", Role.READER),
        "maker": ("Chính bạn đã lập yêu cầu này", Role.APPROVER),
        "nguoi-la": ("không phải là cán bộ nào", Role.APPROVER),
    }
    for person, (told, role) in people.items():
        page = at_desk(person=person, role=role).page
        page.goto(desk.page(request_id))
        assert told in page.locator(".said.quiet").inner_text()
        assert page.locator("#signing").count() == 0
        token = page.locator("input[name=csrf_token]").first.get_attribute("value") or ""
        form = {"csrf_token": token, "kind": str(Kind.APPROVAL), "signature": desk.sign(request_id)}
        answer = page.request.post(desk.page(request_id), form=form)
        assert answer.status in {403, 422}, person
        assert desk.state(request_id) == "awaiting_approval", person


def test_the_hubs_own_people_and_other_agencies_find_no_such_page(desk: Desk, at_desk: Open) -> None:
    request_id = desk.file(freeze())
    for role, tenant in ((Role.COORDINATOR, "hoatoc-hub"), (Role.AUDITOR, "hoatoc-hub")):
        page = at_desk(role=role, tenant=tenant, person="truc-ban").page
        for address in (desk.page(request_id), f"{desk.page(request_id)}/content.json"):
            assert page.request.get(address).status == 404
        page.goto(f"{desk.address}/officer/key")
        assert "không phải là cán bộ nào" in page.locator("main").inner_text()
    bank = at_desk(role=Role.PARTICIPANT_OPERATOR, tenant="vietcombank", person="thu").page
    assert bank.request.get(desk.page(request_id)).status == 403


def test_a_forged_form_signs_nothing(desk: Desk, at_desk: Open) -> None:
    request_id = desk.file(freeze())
    mine, theirs = at_desk().page, at_desk().page
    mine.goto(desk.page(request_id))
    theirs.goto(desk.page(request_id))
    good = mine.locator("#signing input[name=csrf_token]").get_attribute("value") or ""
    foreign = theirs.locator("#signing input[name=csrf_token]").get_attribute("value") or ""
    form = {"kind": str(Kind.APPROVAL), "signature": desk.sign(request_id)}
    for token in ("", "x", foreign):
        assert mine.request.post(desk.page(request_id), form={**form, "csrf_token": token}).status == 403
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    answer = mine.request.post(desk.page(request_id), form={**form, "csrf_token": good}, headers=elsewhere)
    assert answer.status == 403
    assert desk.state(request_id) == "awaiting_approval"
    assert mine.request.post(desk.page(request_id), form={**form, "csrf_token": good}).status == 200
    assert desk.state(request_id) == "active"


def test_the_list_and_the_request_lead_an_approver_to_the_page_and_nobody_else(desk: Desk, at_desk: Open) -> None:
    request_id = desk.file(freeze())
    page = at_desk().page
    page.locator(f'.requests a[href="/requests/{request_id}/approve"]').click()
    page.wait_for_url(desk.page(request_id))
    page.goto(f"{desk.address}/requests/{request_id}")
    page.get_by_role("link", name="Xem và phê duyệt").click()
    page.wait_for_url(desk.page(request_id))
    reader = at_desk(role=Role.READER, person="tra-cuu").page
    assert reader.locator(f'a[href="/requests/{request_id}/approve"]').count() == 0
