"""An officer without training files a request: a question a page, checked, signed, with a receipt; nothing is lost."""

import hashlib
import json
import re
import secrets
import struct
import zlib
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import filing_steps as steps
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from console_desk import Desk
from console_site import Open, Watched
from playwright.sync_api import Page, expect
from steps import now
from test_approve_pages import authenticator as virtual
from test_approve_pages import choose, make_passkey, signs_with_file

from adapters.letter import barcode
from service import i18n
from service.models import ActionRequest, Draft, Target
from service.security.signatures import Kind
from workflows.terms import Role

BOTH = pytest.mark.parametrize("lang", i18n.LANGUAGES)
NARROW = {"width": 320, "height": 640}
AXE = Axe()
FILED = re.compile(r"/requests/([0-9a-f-]{36})/receipt$")
# A deepfake on a platform, up to the last question; what is missing is the digest of its file.
CONTENT = {
    "action": "takedown",
    "text": "",
    "targets.0.kind": "content",
    "targets.0.value": "facebook.com/mau/videos/1",
    "targets.0.at": "",
    "targets.0.holder_name": "",
    "measure": "remove",
    "legal_basis": "decree_147",
}
PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\x80\xff\0\xff\x80")),
        (b"IEND", b""),
    )
)


def number() -> str:
    """The end of an account number of its own, so that no two holds of these tests meet; it is made up."""
    return "".join(secrets.choice("0123456789") for _ in range(5))


def maker(at_desk: Open, **options: object) -> Watched:
    """An officer who may file, signed in."""
    return at_desk(role=Role.MAKER, person="maker", **options)


def sound(watched: Watched, lang: str) -> None:
    """Check what holds on every page."""
    assert watched.page.locator("html").get_attribute("lang") == lang
    words = watched.page.locator("body").inner_text()
    assert not re.search(r"\bNone\b|\bTrue\b|\[\[|undefined|console\.\w|terms\.\w|Undefined", words), words
    found = AXE.run(watched.page, options={"iframes": False})
    assert found.violations_count == 0, found.generate_report()
    # A page of errors is answered with 400, which the browser notes.
    errors = [line for line in watched.errors if "status of 400" not in line and "pubKeyCredParams" not in line]
    assert (watched.foreign, errors) == ([], [])


def filed(page: Page) -> UUID:
    """Wait for the receipt and return the request's id."""
    page.wait_for_url(FILED)
    match = FILED.search(page.url)
    assert match
    return UUID(match[1])


def sign(desk: Desk, page: Page) -> str:
    """Sign the text on the page as ``hoatoc sign`` does, on the officer's own machine."""
    text = page.request.get(f"{desk.address}/requests/new/sign/content.json").body()
    return desk.world.sign(Kind.REQUEST, text, "maker")


def to_sign(page: Page) -> None:
    page.locator("a.big-go").click()
    steps.at(page, "sign")


def paste(desk: Desk, page: Page) -> UUID:
    page.locator("#signature").fill(sign(desk, page))
    page.locator("#by-paste button").click()
    return filed(page)


@BOTH
def test_a_freeze_is_filed_with_a_key_file_and_a_second_officer_approves_it(
    desk: Desk, at_desk: Open, tmp_path: Path, lang: str
) -> None:
    watched = maker(at_desk)
    page, end = steps.begin(watched, desk.address, lang), number()
    steps.freeze(page, end, lambda _: sound(watched, lang))
    sound(watched, lang)
    words = page.locator(".does").inner_text()
    assert f"99900011{end}" in words and "150.000.000" in words and "NGUYEN VAN MAU" in words
    to_sign(page)
    sound(watched, lang)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data}"))
    signs_with_file(page, desk.key_file(tmp_path, "maker"), lang)
    request_id = filed(page)
    sound(watched, lang)
    assert not any(desk.world.keys["maker"].as_dict(private=True)["d"] in each for each in sent)
    [row] = desk.run(desk.world.rows(ActionRequest, id=request_id))
    assert (row["state"], row["amount"], row["officer_id"]) == ("awaiting_approval", 150_000_000, "maker")
    assert page.locator("#reference").inner_text() == row["reference"]
    # The same text that the first officer read and signed is what the second one gets.
    second = at_desk().page
    second.goto(desk.page(request_id))
    expect(second.locator("#content")).to_contain_text(f"99900011{end}")
    second.locator("#signature").fill(desk.sign(request_id))
    second.locator("#by-paste button").click()
    expect(second.locator(".said.good")).to_be_visible()
    assert desk.state(request_id) == "active"


def test_the_receipt_has_number_and_code_is_printed_without_the_frame_and_names_nobody(
    desk: Desk, at_desk: Open
) -> None:
    page, end = maker(at_desk).page, number()
    steps.laid(desk, end)
    page.goto(f"{desk.address}/requests/new/sign")
    request_id = paste(desk, page)
    address = f"{desk.address}/requests/{request_id}"
    assert page.locator(".qr svg").count() == 1
    path = re.search(r' d="([^"]+)"', barcode.scalable(address))
    assert path and page.locator(".qr path").get_attribute("d") == path[1]
    words = page.locator("main").inner_text()
    assert end not in words and "NGUYEN VAN MAU" not in words and address in words
    page.emulate_media(media="print")
    for gone in (".places", ".languages", ".leave", ".receipt + section .go"):
        assert page.locator(gone).is_hidden()
    assert page.locator("#reference").is_visible() and page.locator(".qr svg").is_visible()
    # What was filed is nobody's draft any more; and to a stranger there is no receipt.
    assert desk.run(desk.world.rows(Draft, person="maker")) == []
    # The button pressed once more leads to what became of it, not to an empty beginning.
    token = page.locator("input[name=csrf_token]").first.get_attribute("value") or ""
    form = {"csrf_token": token, "signature": "x"}
    again = page.request.post(f"{desk.address}/requests/new/sign", form=form, max_redirects=0)
    assert (again.status, again.headers["location"]) == (303, "/mine")
    stranger = at_desk(role=Role.PARTICIPANT_OPERATOR, tenant="vietcombank", person="thu").page
    assert stranger.request.get(f"{address}/receipt").status in {403, 404}


@BOTH
def test_without_scripts_all_is_answered_and_a_pasted_signature_files_it(desk: Desk, at_desk: Open, lang: str) -> None:
    page, end = steps.begin(maker(at_desk, java_script_enabled=False), desk.address, lang), number()
    steps.freeze(page, end)
    to_sign(page)
    assert not page.locator("#by-file").is_visible()
    page.locator("#signature").fill("x")
    page.locator("#by-paste button").click()
    expect(page.locator(".said.bad")).to_contain_text("signature.malformed")
    request_id = paste(desk, page)
    assert desk.state(request_id) == "awaiting_approval"


def test_the_keyboard_alone_files_a_freeze(desk: Desk, at_desk: Open) -> None:
    page, end = steps.begin(maker(at_desk), desk.address), number()
    keys = page.keyboard

    def reach(where: str) -> None:
        """Press Tab until the focus is on the element, as a hand does that never leaves the keys."""
        for _ in range(60):
            if page.locator(where).evaluate("each => each === document.activeElement"):
                return
            keys.press("Tab")
        pytest.fail(f"the keyboard does not reach {where}", pytrace=False)

    def write(where: str, text: str) -> None:
        reach(where)
        keys.insert_text(text)

    def go_on(step: str) -> None:
        reach(".go button[type=submit]")
        keys.press("Enter")
        steps.at(page, step)

    reach("#f-action")
    keys.press("Space")
    go_on("text")
    write("#f-text", steps.TEXT.format(number=end))
    go_on("found")
    reach("#f-pick")
    keys.press("Space")
    go_on("targets")
    go_on("amount")
    reach("#f-extent")
    keys.press("Space")
    go_on("case")
    write("#f-case_number", "01/2026/CA")
    go_on("basis")
    reach("#f-legal_basis")
    # Arrows go through a group of radio buttons: the third one is Decree 52.
    keys.press("Space")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    go_on("urgency")
    reach("#f-urgency")
    keys.press("Space")
    go_on("end")
    reach("#f-until")
    keys.press("Space")
    go_on("document")
    write("#f-document-number", "15/QD-PC02")
    reach("#f-document-date")
    page.locator("#f-document-date").evaluate("each => { each.value = '2026-11-20'; }")
    go_on("paper")
    reach("details.others summary")
    keys.press("Enter")
    write("#f-document-sha256", "ab" * 32)
    go_on("contact")
    write("#f-contact-name", "Trực ban PC02")
    write("#f-contact-phone", "0283000111")
    go_on("check")
    reach("a.big-go")
    keys.press("Enter")
    steps.at(page, "sign")
    write("#signature", sign(desk, page))
    reach("#by-paste button")
    keys.press("Enter")
    [row] = desk.run(desk.world.rows(ActionRequest, id=filed(page)))
    assert (row["urgency"], row["legal_basis"], row["document_sha256"]) == ("hoa_toc", "decree_52_11", "ab" * 32)


def test_a_passkey_files_a_request(desk: Desk, at_desk: Open) -> None:
    watched = maker(at_desk)
    virtual(watched.page)
    _, credential = make_passkey(desk, watched.page, "maker")
    page = watched.page
    steps.laid(desk, number())
    page.goto(f"{desk.address}/requests/new/sign")
    choose(page, credential)
    page.locator("#sign-passkey").click()
    assert desk.state(filed(page)) == "awaiting_approval"


@BOTH
def test_a_takedown_of_all_that_a_text_names_and_one_more(desk: Desk, at_desk: Open, lang: str) -> None:
    watched = maker(at_desk)
    page = steps.begin(watched, desk.address, lang)
    page.locator("input[value=takedown]").check()
    steps.go_on(page, "text")
    end = number()
    page.locator("#f-text").fill(
        f"0912 9{end[:2]} {end[2:]} http://mau-{end}.example.com/x, mau{end}.example.org. STK 99900011{end} VCB"
    )
    steps.go_on(page, "found")
    assert page.locator(".choice.found").count() == 3
    assert f"99900011{end}" in (page.locator("details.others").text_content() or "")
    page.locator("details.others summary").click()
    sound(watched, lang)
    steps.go_on(page, "targets")
    page.locator("button[name=more]").click()
    page.wait_for_url(re.compile(r"more=1"))
    expect(page.locator("fieldset.target")).to_have_count(4)
    # A platform is asked for where there may be one, and of no number.
    assert page.locator("#f-targets-3-at").count() == 1 and page.locator("#f-targets-0-at").count() == 0
    page.locator("#f-targets-3-kind").select_option("sms_sender")
    page.locator("#f-targets-3-value").fill("VCB-MAU")
    # An emptied line is left out.
    page.locator("#f-targets-1-value").fill("")
    sound(watched, lang)
    steps.go_on(page, "measure")
    sound(watched, lang)
    page.locator("input[value=block]").check()
    steps.go_on(page, "case")
    page.locator("#f-case_number").fill("01/2026/CA")
    steps.go_on(page, "basis")
    page.locator("input[value=decree_147]").check()
    steps.go_on(page, "urgency")
    page.locator("input[value=khan]").check()
    steps.go_on(page, "end")
    page.locator("input[value=named]").check()
    ends_at = desk.run(now(desk.world)) + timedelta(days=2)
    page.locator("#f-ends_at").fill((ends_at + timedelta(hours=7)).strftime("%Y-%m-%dT%H:%M"))
    steps.go_on(page, "document")
    page.locator("#f-document-number").fill("16/QD-PC02")
    page.locator("#f-document-date").fill("2026-11-20")
    steps.go_on(page, "paper")
    steps.paper(page, PNG, "anh.png")
    expect(page.locator(".preview img")).to_have_js_property("naturalWidth", 2)
    sound(watched, lang)
    steps.go_on(page, "contact")
    steps.contact(page)
    sound(watched, lang)
    to_sign(page)
    request_id = paste(desk, page)
    [row] = desk.run(desk.world.rows(ActionRequest, id=request_id))
    assert (row["action"], row["measure"], row["state"]) == ("takedown", "block", "active")
    assert row["ends_at"] == ends_at.replace(second=0, microsecond=0)
    kinds = [each["kind"] for each in desk.run(desk.world.rows(Target, request_id=request_id))]
    assert sorted(kinds) == ["domain", "phone", "sms_sender"]


@pytest.mark.parametrize(
    ("action", "asks", "answers"),
    [
        ("preserve", ("targets", "end"), {}),
        (
            "recall",
            ("targets", "amount", "payment"),
            {"payment.reference": "FT26325000001", "payment.sent_on": "2026-11-20", "payment.sender": "Techcombank"},
        ),
        (
            "disclose",
            ("targets", "asked"),
            {"legal_basis": "cpc_88", "asked.holder_name": "on", "asked.opened_on": "on"},
        ),
        (
            "trace",
            ("targets", "window"),
            {"legal_basis": "cpc_88", "window.since": "2026-11-20T08:00", "window.until": "2026-11-21T10:00"},
        ),
    ],
)
def test_data_are_kept_money_is_asked_back_and_holders_are_asked_for(
    desk: Desk, at_desk: Open, action: str, asks: tuple[str, ...], answers: dict[str, str]
) -> None:
    watched = maker(at_desk)
    page = watched.page
    steps.laid(desk, number(), action=action, **answers)
    for step in asks:
        page.goto(f"{desk.address}/requests/new/{step}")
        sound(watched, "vi")
        # What was answered stands there: one press goes on.
        page.get_by_role("button", name=steps.GO_ON).click()
        expect(page).not_to_have_url(f"{desk.address}/requests/new/{step}")
        assert page.locator(".summary").count() == 0
    page.goto(f"{desk.address}/requests/new/check")
    sound(watched, "vi")
    to_sign(page)
    [row] = desk.run(desk.world.rows(ActionRequest, id=paste(desk, page)))
    assert (row["action"], row["state"]) == (action, "awaiting_approval")


@BOTH
def test_a_video_is_measured_where_it_lies_and_its_takedown_filed(desk: Desk, at_desk: Open, lang: str) -> None:
    watched = maker(at_desk)
    page, video = watched.page, secrets.token_bytes(3_000_000)
    steps.laid(desk, number(), **CONTENT)
    page.goto(f"{desk.address}/requests/new/targets?lang={lang}")
    expect(page.locator(".suggestion")).to_contain_text("Meta")
    page.get_by_role("button", name=steps.GO_ON).click()
    # The digest is missing: the field is there and says so.
    expect(page.locator("#f-targets-0-sha256-wrong")).to_contain_text(
        {"vi": "Hãy chọn tệp", "en": "Choose the file"}[lang]
    )
    sent: list[int] = []
    page.on("request", lambda request: sent.append(len(request.post_data_buffer or b"")))
    page.locator("#f-targets-0-file").set_input_files({"name": "a.mp4", "mimeType": "video/mp4", "buffer": video})
    expect(page.locator("#f-targets-0-sha256")).to_have_value(hashlib.sha256(video).hexdigest())
    expect(page.locator("#f-targets-0-file-said")).to_contain_text({"vi": "Đã tính xong", "en": "Measured"}[lang])
    page.locator("#f-targets-0-intimate").check()
    sound(watched, lang)
    steps.go_on(page, "measure")
    assert max(sent) < 10_000
    page.goto(f"{desk.address}/requests/new/check")
    expect(page.locator(".answers")).to_contain_text(hashlib.sha256(video).hexdigest())
    expect(page.locator(".answers")).to_contain_text({"vi": "hình ảnh nhạy cảm", "en": "intimate image"}[lang])
    sound(watched, lang)
    to_sign(page)
    sound(watched, lang)
    said = json.loads(page.locator("#content").inner_text())
    assert said["targets"] == [
        {
            "kind": "content",
            "value": "https://facebook.com/mau/videos/1",
            "sha256": hashlib.sha256(video).hexdigest(),
            "intimate": True,
        }
    ]
    request_id = paste(desk, page)
    assert desk.state(request_id) == "active"


# Each measuring waits until it is let go on: what is large takes longer than what is chosen after it.
_HELD = """
() => {
  const digest = crypto.subtle.digest.bind(crypto.subtle);
  window.held = [];
  crypto.subtle.digest = async (name, bytes) => {
    await new Promise((go) => held.push(go));
    return digest(name, bytes);
  };
}
"""


def test_no_file_leaves_its_digest_to_one_that_was_chosen_after_it(desk: Desk, at_desk: Open) -> None:
    page = maker(at_desk).page
    steps.laid(desk, number(), **CONTENT)
    page.goto(f"{desk.address}/requests/new/targets")
    page.evaluate(_HELD)
    field, said = page.locator("#f-targets-0-sha256"), page.locator("#f-targets-0-file-said")
    first, second = secrets.token_bytes(2_000), secrets.token_bytes(1_000)

    def choose(content: bytes) -> None:
        chosen = {"name": "a.mp4", "mimeType": "video/mp4", "buffer": content}
        page.locator("#f-targets-0-file").set_input_files(chosen)

    field.fill("ab" * 32)
    for number_of_measurings, content in enumerate((first, second), start=1):
        choose(content)
        # While a file is measured no other's digest can be sent.
        expect(field).to_have_value("")
        page.wait_for_function("number => held.length === number", arg=number_of_measurings)
    page.evaluate("held[1]()")
    expect(field).to_have_value(hashlib.sha256(second).hexdigest())
    page.evaluate("async () => { held[0](); await new Promise((go) => setTimeout(go, 300)); }")
    expect(field).to_have_value(hashlib.sha256(second).hexdigest())
    # What is too large to be measured leaves nothing of the file before it.
    page.evaluate("Object.defineProperty(File.prototype, 'size', { value: 2 ** 31 })")
    choose(first)
    expect(said).to_contain_text("1 GB")
    expect(field).to_have_value("")


def test_without_scripts_a_digest_is_typed_and_a_text_brings_it_along(desk: Desk, at_desk: Open) -> None:
    page = maker(at_desk, java_script_enabled=False, viewport=NARROW).page
    digest = secrets.token_hex(32)
    steps.laid(
        desk,
        number(),
        **CONTENT
        | {"targets.0.value": "", "text": f"https://facebook.com/mau/videos/2 {digest} và https://mau.example.com/a"},
    )
    page.goto(f"{desk.address}/requests/new/found")
    expect(page.locator(".choice.found").first).to_contain_text(digest)
    steps.go_on(page, "targets")
    assert page.locator("#f-targets-0-sha256").input_value() == digest
    assert not page.locator("#f-targets-0-file").is_visible()
    page.locator("#f-targets-0-sha256").fill("12")
    page.get_by_role("button", name=steps.GO_ON).click()
    expect(page.locator("#f-targets-0-sha256-wrong")).to_be_visible()
    # As people copy it: in capitals and in groups.
    page.locator("#f-targets-0-sha256").fill(f"{digest[:32].upper()} {digest[32:]}")
    steps.go_on(page, "measure")
    page.goto(f"{desk.address}/requests/new/check")
    expect(page.locator(".answers")).to_contain_text(digest)


def test_a_picture_on_a_strange_page_needs_a_platform(desk: Desk, at_desk: Open) -> None:
    page = maker(at_desk).page
    steps.laid(desk, number(), **CONTENT | {"targets.0.value": "mau.example.org/x", "targets.0.sha256": "ab" * 32})
    page.goto(f"{desk.address}/requests/new/targets")
    page.get_by_role("button", name=steps.GO_ON).click()
    expect(page.locator("#f-targets-0-at-wrong")).to_be_visible()
    page.locator("#f-targets-0-at").fill("Meta")
    steps.go_on(page, "measure")


def test_a_measure_that_is_not_for_a_target_leads_to_the_question(desk: Desk, at_desk: Open) -> None:
    page = maker(at_desk).page
    phone = {"targets.0.kind": "phone", "targets.0.value": "0912 999 000", "legal_basis": "decree_147"}
    steps.laid(desk, number(), action="takedown", measure="remove", **phone)
    page.goto(f"{desk.address}/requests/new/check")
    page.locator(".summary a[href*='/measure']").click()
    steps.at(page, "measure")
    page.locator("input[value=block]").check()
    steps.go_on(page, "check")
    expect(page.locator("a.big-go")).to_be_visible()


@BOTH
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(desk: Desk, at_desk: Open, lang: str) -> None:
    watched = maker(at_desk)
    page = steps.begin(watched, desk.address, lang)

    def refused(field: str, words: dict[str, str]) -> None:
        page.get_by_role("button", name=steps.GO_ON).click()
        summary = page.locator(".summary")
        expect(summary).to_contain_text(words[lang])
        assert page.title().startswith({"vi": "Lỗi: ", "en": "Error: "}[lang])
        sound(watched, lang)
        summary.get_by_role("link", name=words[lang]).first.click()
        expect(page).to_have_url(re.compile(f"#{field}$"))
        expect(page.locator(f"#{field}-wrong")).to_contain_text(words[lang])

    refused("f-action", {"vi": "Hãy chọn biện pháp", "en": "Choose what you need"})
    page.locator("input[value=freeze]").check()
    steps.go_on(page, "text")
    steps.go_on(page, "targets")
    page.locator("#f-targets-0-value").fill("12")
    page.locator("#f-targets-0-at").fill("Ngân hàng Không Có")
    page.locator("#f-targets-0-holder_name").fill("NGUYEN VAN MAU")
    refused("f-targets-0-value", {"vi": "Hãy ghi số tài khoản: 4", "en": "Write the account number: 4"})
    assert page.locator("#f-targets-0-at").input_value() == "Ngân hàng Không Có"
    page.locator("#f-targets-0-value").fill("9990 0011 12223")
    page.get_by_role("button", name=steps.GO_ON).click()
    expect(page.locator("#f-targets-0-at-wrong")).to_be_visible()
    # Even what is wrong is there after the session's end, in another browser.
    page = maker(at_desk).page
    page.goto(f"{desk.address}/requests/new/targets?lang={lang}")
    assert page.locator("#f-targets-0-at").input_value() == "Ngân hàng Không Có"
    page.locator("#f-targets-0-at").fill("970436")
    steps.go_on(page, "amount")
    page.locator("input[value=amount]").check()
    page.locator("#f-amount").fill("một trăm triệu")
    page.get_by_role("button", name=steps.GO_ON).click()
    expect(page.locator("#f-amount-wrong")).to_be_visible()
    assert page.locator("#f-amount").input_value() == "một trăm triệu"
    # What is still missing leads from the last page to its question, and back.
    page.goto(f"{desk.address}/requests/new/check?lang={lang}")
    assert page.locator("a.big-go").count() == 0
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator(".summary a[href*='/amount']").first.click()
    steps.at(page, "amount")
    page.locator("#f-amount").fill("5.000.000 đ")
    steps.go_on(page, "check")
    expect(page.locator(".answers")).to_contain_text("5.000.000")
    page.goto(f"{desk.address}/requests/new/sign")
    steps.at(page, "check")


def test_the_rules_say_before_anybody_signs_what_they_would_refuse(desk: Desk, at_desk: Open) -> None:
    page = maker(at_desk).page
    steps.laid(desk, number())
    page.goto(f"{desk.address}/requests/new/check")
    page.locator(".answers a[href*='/end']").click()
    steps.at(page, "end")
    page.locator("input[value=named]").check()
    far = desk.run(now(desk.world)) + timedelta(days=300)
    page.locator("#f-ends_at").fill(far.strftime("%Y-%m-%dT%H:%M"))
    steps.go_on(page, "check")
    expect(page.locator(".summary a[href*='/end']")).to_be_visible()
    page.locator(".answers a[href*='/end']").click()
    steps.at(page, "end")
    page.locator("input[value=default]").check()
    steps.go_on(page, "check")
    # A law that postpones transactions knows no whole account.
    page.locator(".answers a[href*='/amount']").click()
    steps.at(page, "amount")
    page.locator("input[value=whole]").check()
    page.locator("#f-whole_account-reason").fill("Tiền đang bị rút dần")
    steps.go_on(page, "check")
    page.locator(".answers a[href*='/basis']").click()
    steps.at(page, "basis")
    page.locator("input[value=aml_postponement]").check()
    steps.go_on(page, "check")
    expect(page.locator(".summary a[href*='/amount']")).to_be_visible()
    assert page.locator("a.big-go").count() == 0


def test_the_papers_file_is_measured_shown_safely_and_refused_where_it_is_none(desk: Desk, at_desk: Open) -> None:
    watched = maker(at_desk)
    page = steps.begin(watched, desk.address)
    page.locator("input[value=freeze]").check()
    steps.go_on(page, "text")
    page.goto(f"{desk.address}/requests/new/paper")
    for content, words in ((b"", "Hãy chọn tệp"), (b"<script>alert(1)</script>", "không phải tệp PDF")):
        page.locator("#f-paper").set_input_files({"name": "a.pdf", "mimeType": "application/pdf", "buffer": content})
        page.locator(".upload button").click()
        expect(page.locator("#f-paper-wrong")).to_contain_text(words)
    big = steps.PDF + b"0" * (5 * 1024 * 1024)
    page.locator("#f-paper").set_input_files({"name": "a.pdf", "mimeType": "application/pdf", "buffer": big})
    page.locator(".upload button").click()
    expect(page.locator("#f-paper-wrong")).to_contain_text("lớn hơn 5 MB")
    steps.paper(page)
    shown = page.request.get(f"{desk.address}/requests/new/paper/file")
    assert (shown.status, shown.body(), shown.headers["content-type"]) == (200, steps.PDF, "application/pdf")
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert shown.headers["x-content-type-options"] == "nosniff" and shown.headers["cache-control"] == "no-store"
    # It lies with one person's draft: the officer beside him has none.
    other = at_desk(role=Role.MAKER, person="junior").page
    assert other.request.get(f"{desk.address}/requests/new/paper/file").status == 404


@BOTH
def test_a_file_beyond_what_the_hub_takes_in_is_refused_on_a_page_in_the_persons_language(
    desk: Desk, at_desk: Open, lang: str
) -> None:
    watched = maker(at_desk)
    page = steps.begin(watched, desk.address, lang)
    page.locator("input[value=freeze]").check()
    steps.go_on(page, "text")
    page.goto(f"{desk.address}/requests/new/paper")
    huge = steps.PDF + b"0" * (9 * 1024 * 1024)
    page.locator("#f-paper").set_input_files({"name": "a.pdf", "mimeType": "application/pdf", "buffer": huge})
    page.locator(".upload button").click()
    expect(page.locator("h1")).to_have_text({"vi": "Không thực hiện được", "en": "That did not work"}[lang])
    assert page.locator("html").get_attribute("lang") == lang
    expect(page.locator(".notice")).to_contain_text({"vi": "vượt quá", "en": "larger than"}[lang])
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    # A program is told in JSON, as before, and so is whoever calls the door for machines.
    answer = page.request.post(f"{desk.address}/requests/new/text", data=b"0" * 300_000, headers={"Accept": "*/*"})
    assert (answer.status, answer.json()["code"]) == (413, "body.too_large")
    answer = page.request.post(f"{desk.address}/v1/requests", data=b"0" * 300_000, headers={"Accept": "text/html"})
    assert (answer.status, answer.json()["code"]) == (413, "body.too_large")


def test_an_opened_pdf_comes_into_a_frame_as_it_is_and_may_load_and_run_nothing(desk: Desk, at_desk: Open) -> None:
    """Whether a browser draws it there is the browser's: without a viewer of its own it offers the file to keep."""
    watched = maker(at_desk)
    page = steps.begin(watched, desk.address)
    page.locator("input[value=freeze]").check()
    steps.go_on(page, "text")
    page.goto(f"{desk.address}/requests/new/paper")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    # What a malicious file would carry: an action on opening, and a script.
    paper = steps.PDF.replace(b"/Type/Catalog", b"/Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>")
    steps.paper(page, paper)
    file = f"{desk.address}/requests/new/paper/file"
    # Nothing of it is fetched before somebody wants to look.
    assert file not in asked
    frame = page.locator(".preview iframe")
    assert frame.get_attribute("src") == "/requests/new/paper/file" and frame.get_attribute("title")
    with page.expect_response(file) as answered:
        page.locator(".preview summary").click()
    answer = answered.value
    assert (answer.status, answer.request.resource_type, answer.request.frame.parent_frame) == (
        200,
        "document",
        page.main_frame,
    )
    headers = answer.all_headers()
    assert headers["content-type"] == "application/pdf" and headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"] == 'inline; filename="paper.pdf"'
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'self'" and "script-src" not in policy
    assert headers["x-frame-options"] == "SAMEORIGIN" and "no-store" in headers["cache-control"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert page.request.get(file).body() == paper
    # The page around it stands as before, and nothing was asked of anybody else.
    expect(page.locator(".preview .digest")).to_have_text(hashlib.sha256(paper).hexdigest())
    assert watched.foreign == []
    # Around the file no plug-in may be embedded, and no page of another site may put this one into a frame.
    around = page.request.get(f"{desk.address}/requests/new/paper").headers
    assert "object-src 'none'" in around["content-security-policy"] and around["x-frame-options"] == "DENY"


def test_a_draft_is_its_owners_alone_and_goes_when_it_is_thrown_away(desk: Desk, at_desk: Open) -> None:
    page = steps.begin(maker(at_desk), desk.address)
    page.locator("input[value=freeze]").check()
    steps.go_on(page, "text")
    secret = f"STK 99900011{number()}"
    page.locator("#f-text").fill(secret)
    steps.go_on(page, "found")
    other = at_desk(role=Role.MAKER, person="junior").page
    other.goto(f"{desk.address}/requests/new")
    assert other.locator(".left").count() == 0
    other.goto(f"{desk.address}/requests/new/text")
    other.wait_for_url(f"{desk.address}/requests/new")
    for role, person in ((Role.APPROVER, "approver"), (Role.READER, "tra-cuu")):
        stranger = at_desk(role=role, person=person).page
        assert stranger.request.get(f"{desk.address}/requests/new").status == 403
        assert stranger.locator('.places a[href="/requests/new"]').count() == 0
    page.goto(f"{desk.address}/requests/new")
    expect(page.locator(".left")).to_be_visible()
    found = AXE.run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator(".left button").click()
    steps.at(page, "action")
    assert desk.run(desk.world.rows(Draft, person="maker")) == []


def test_one_more_target_does_not_lose_the_way_back_to_the_check(desk: Desk, at_desk: Open) -> None:
    page = maker(at_desk).page
    steps.laid(desk, number())
    page.goto(f"{desk.address}/requests/new/targets?check=1")
    token = page.locator("input[name=csrf_token]").first.get_attribute("value") or ""
    for address, onward in (("targets?check=1", "targets?more=1&check=1#more"), ("targets", "targets?more=1#more")):
        form = {"csrf_token": token, "more": "1"}
        answer = page.request.post(f"{desk.address}/requests/new/{address}", form=form, max_redirects=0)
        assert answer.headers["location"] == f"/requests/new/{onward}"


def test_a_forged_form_keeps_nothing_and_files_nothing(desk: Desk, at_desk: Open) -> None:
    page = steps.begin(maker(at_desk), desk.address)
    for path in ("action", "text", "digest", "sign"):
        form = {"csrf_token": "x", "action": "freeze", "text": "a"}
        assert page.request.post(f"{desk.address}/requests/new/{path}", form=form).status == 403
    sent = {"csrf_token": "x", "paper": {"name": "a.pdf", "mimeType": "application/pdf", "buffer": steps.PDF}}
    assert page.request.post(f"{desk.address}/requests/new/paper", multipart=sent).status == 403
    assert desk.run(desk.world.rows(Draft, person="maker")) == []


def test_nobody_who_is_no_officer_is_led_to_a_first_question(desk: Desk, at_desk: Open) -> None:
    watched = at_desk(role=Role.MAKER, person="nobody-known")
    watched.page.goto(f"{desk.address}/requests/new")
    assert "nobody-known" in watched.page.locator(".said").inner_text()
    assert watched.page.locator("a.big-go").count() == 0
    sound(watched, "vi")


@BOTH
def test_nothing_scrolls_sideways_at_320_pixels(desk: Desk, at_desk: Open, lang: str) -> None:
    page = maker(at_desk, viewport=NARROW).page
    steps.laid(desk, number())
    for step in ("", *(f"/{each}" for each in steps.QUESTIONS)):
        page.goto(f"{desk.address}/requests/new{step}?lang={lang}")
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], step
    paste(desk, page)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_every_page_is_accessible_in_the_dark(desk: Desk, at_desk: Open) -> None:
    watched = maker(at_desk, color_scheme="dark")
    steps.laid(desk, number(), amount="x")
    for step in ("", *(f"/{each}" for each in steps.QUESTIONS[:-1])):
        watched.page.goto(f"{desk.address}/requests/new{step}")
        sound(watched, "vi")
    steps.laid(desk, number())
    watched.page.goto(f"{desk.address}/requests/new/sign")
    sound(watched, "vi")
    paste(desk, watched.page)
    sound(watched, "vi")


def test_the_body_is_what_the_contract_asks_for(desk: Desk, at_desk: Open) -> None:
    page, end = maker(at_desk).page, number()
    steps.laid(desk, end)
    page.goto(f"{desk.address}/requests/new/sign")
    said = json.loads(page.locator("#content").inner_text())
    assert said["target"] == {
        "kind": "account",
        "value": f"99900011{end}",
        "institution": "Vietcombank",
        "holder_name": "NGUYEN VAN MAU",
    }
    assert said["contact"] == {"name": "Trực ban PC02", "phone": "+84283000111"}
    assert "text" not in said and "ends_at" not in said


def test_a_day_and_a_time_are_taken_as_people_write_them(desk: Desk, at_desk: Open) -> None:
    """Where a browser has no field for days, a person types one."""
    page = maker(at_desk).page
    steps.laid(desk, number())
    page.goto(f"{desk.address}/requests/new/document")
    page.locator("#f-document-date").evaluate("each => { each.type = 'text'; each.value = '3/11/2026'; }")
    steps.go_on(page, "paper")
    page.goto(f"{desk.address}/requests/new/document")
    assert page.locator("#f-document-date").input_value() == "2026-11-03"
    page.goto(f"{desk.address}/requests/new/end?check=1")
    page.locator("input[value=named]").check()
    # Twenty hours ahead, by the clocks in Vietnam.
    ends_at = desk.run(now(desk.world)) + timedelta(hours=27)
    written = ends_at.strftime("%H:%M %d/%m/%Y")
    page.locator("#f-ends_at").evaluate("(each, text) => { each.type = 'text'; each.value = text; }", written)
    steps.go_on(page, "check")
    expect(page.locator(".does")).to_contain_text(ends_at.strftime("%H:%M:00 %d/%m/%Y"))
