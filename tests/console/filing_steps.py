"""An officer at the pages for filing: answers the questions one after the other, as a hand with a mouse does."""

import re
from collections.abc import Callable

from console_desk import Desk
from console_site import Watched
from playwright.sync_api import Page, expect
from world import AGENCY

from service.actions import keep_draft
from service.security import principals
from workflows.terms import Role, Sector

# Made up, as all numbers here; the bank and the host's ending are real.
TEXT = """Tôi bị lừa chuyển 150.000.000đ vào STK 9990 0011 {number} Vietcombank, chủ TK NGUYEN VAN MAU, ngày 20/11/2026.
Số gọi đến 0912 999 000. Trang hxxps://vcb-mau[.]example.com/dang-nhap"""
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]>>endobj\ntrailer<</Root 1 0 R>>\n"
)
GO_ON = re.compile("^(Tiếp tục|Continue)$")


def at(page: Page, step: str) -> None:
    """Wait until the page of a question is there."""
    expect(page).to_have_url(re.compile(rf"/requests/new/{step}(\?.*)?(#.*)?$"))
    expect(page.locator("h1").first).to_be_visible()


def go_on(page: Page, step: str) -> None:
    """Press the button and wait for the next question."""
    page.get_by_role("button", name=GO_ON).click()
    at(page, step)


def begin(watched: Watched, address: str, lang: str = "vi") -> Page:
    """Open the first question, whatever lay there before."""
    page = watched.page
    page.goto(f"{address}/requests/new?lang={lang}")
    anew = page.locator(".left button")
    if anew.count():
        anew.click()
    else:
        page.locator("a.big-go").click()
    at(page, "action")
    return page


def paper(page: Page, content: bytes = PDF, name: str = "quyet-dinh.pdf") -> None:
    """Upload the paper's file and wait until it is shown."""
    page.locator("#f-paper").set_input_files({"name": name, "mimeType": "application/pdf", "buffer": content})
    page.locator(".upload button").click()
    expect(page.locator(".preview .digest")).to_be_visible()


def freeze(page: Page, number: str, looks: Callable[[str], None] | None = None) -> None:
    """Answer all questions of a freeze, up to the page on which they are checked; ``looks`` is called at each."""
    look = looks or (lambda _: None)
    look("action")
    page.locator("input[value=freeze]").check()
    go_on(page, "text")
    look("text")
    page.locator("#f-text").fill(TEXT.format(number=number))
    go_on(page, "found")
    look("found")
    page.locator("#f-pick").check()
    go_on(page, "targets")
    look("targets")
    go_on(page, "amount")
    look("amount")
    page.locator("input[value=amount]").check()
    go_on(page, "case")
    look("case")
    page.locator("#f-case_number").fill("01/2026/CA")
    go_on(page, "basis")
    look("basis")
    page.locator("input[value=decree_52_11]").check()
    go_on(page, "urgency")
    look("urgency")
    page.locator("input[value=hoa_toc]").check()
    go_on(page, "end")
    look("end")
    page.locator("input[value=default]").check()
    go_on(page, "document")
    look("document")
    page.locator("#f-document-number").fill("15/QD-PC02")
    page.locator("#f-document-date").fill("2026-11-20")
    go_on(page, "paper")
    look("paper")
    paper(page)
    look("paper-there")
    go_on(page, "contact")
    look("contact")
    contact(page)


def contact(page: Page) -> None:
    """Say whom they may call, and go to the page on which all is checked."""
    page.locator("#f-contact-name").fill("Trực ban PC02")
    page.locator("#f-contact-phone").fill("0283 000 111")
    go_on(page, "check")


def laid(desk: Desk, number: str, **changes: str) -> None:
    """Lay a whole freeze on the maker's desk, as the pages would have kept it."""
    answers = {
        "action": "freeze",
        "text": TEXT.format(number=number),
        "targets.0.kind": "account",
        "targets.0.value": f"99900011{number}",
        "targets.0.at": "Vietcombank",
        "targets.0.holder_name": "NGUYEN VAN MAU",
        "extent": "amount",
        "amount": "150.000.000",
        "case_number": "01/2026/CA",
        "legal_basis": "decree_52_11",
        "urgency": "hoa_toc",
        "until": "default",
        "document.number": "15/QD-PC02",
        "document.date": "2026-11-20",
        "document.sha256": "ab" * 32,
        "contact.name": "Trực ban PC02",
        "contact.phone": "0283 000 111",
        **changes,
    }
    who = principals.of_person("maker", tenant=AGENCY, sector=Sector.AGENCY, roles=[Role.MAKER])
    desk.run(keep_draft.save(desk.hub, who, lambda _: answers, b""))


QUESTIONS = (
    *("action", "text", "found", "targets", "amount", "case", "basis", "urgency", "end"),
    *("document", "paper", "contact", "check", "sign"),
)
