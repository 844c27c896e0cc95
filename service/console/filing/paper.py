"""The legal paper: its file comes to the hub to be looked at, its SHA-256 goes into what is signed, the file goes."""

import hashlib
import re
from collections.abc import Mapping

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from service import errors, i18n
from service.actions import keep_draft
from service.console import doors, rendering
from service.console.filing import desk, steps
from service.console.filing.desk import Desk
from service.console.filing.steps import Step
from service.console.filing.wrong import Wrong
from service.queries import drafts
from service.security.scopes import Scope
from service.web.doors import HubDep

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

LARGEST = 5 * 1024 * 1024
_MIB = 1024 * 1024
_PAGE = f"{steps.PATH}/{Step.PAPER}"
# By what the file begins with: what a browser shows is decided by the hub, not by whoever named the file.
_KINDS = (
    (b"%PDF-", "application/pdf", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png", "png"),
    (b"\xff\xd8\xff", "image/jpeg", "jpg"),
)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[^\w .()-]+")
# Nothing in the file runs or loads anything; only this hub's own pages may show it in a frame.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'"
_SAFE = {"Content-Security-Policy": _POLICY, "X-Frame-Options": "SAMEORIGIN"}


@router.get(_PAGE)
async def ask(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Ask for the paper's file, and show the one that is there."""
    async with hub.database.read(seat.principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
    if table.signer is None or Step.PAPER not in steps.order(table.action):
        return RedirectResponse(steps.PATH, 303)
    return _show(request, table)


@router.post(_PAGE)
async def take(request: Request, hub: HubDep, seat: doors.SeatDep, form: doors.FilesDep) -> Response:
    """Take a file, measure it and show it."""
    seat.principal.require(Scope.REQUESTS_WRITE)
    file = form.files.get("paper")
    content = file.content if file else b""
    kind = next((each for each in _KINDS if content.startswith(each[0])), None)
    if file is None or not content:
        return await _refuse(request, hub, seat, "paper", "paper")
    if len(content) > LARGEST or kind is None:
        return await _refuse(request, hub, seat, "paper", "paper_size" if len(content) > LARGEST else "paper_kind")
    name = _NAME.sub("_", file.name.rpartition("\\")[2].rpartition("/")[2])[-80:] or f"paper.{kind[2]}"
    said = {"paper.name": name, "paper.media": kind[1], "paper.size": str(len(content))}
    said["document.sha256"] = hashlib.sha256(content).hexdigest()
    await keep_draft.save(hub, seat.principal, lambda answers: {**_without(answers), **said}, content)
    return RedirectResponse(_here(request), 303)


@router.post(f"{steps.PATH}/digest")
async def go_on(request: Request, hub: HubDep, seat: doors.SeatDep, fields: doors.FormDep) -> Response:
    """Go on with the file that is there, or with a digest that was made elsewhere and typed in."""
    seat.principal.require(Scope.REQUESTS_WRITE)
    typed = "".join(fields.get("document.sha256", "").lower().split())
    if typed:
        if not _DIGEST.fullmatch(typed):
            return await _refuse(request, hub, seat, "document.sha256", "document_sha256", typed)
        said = {"document.sha256": typed}
        await keep_draft.save(hub, seat.principal, lambda answers: {**_without(answers), **said}, b"")
    async with hub.database.read(seat.principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
    if not table.answers.get("document.sha256"):
        return await _refuse(request, hub, seat, "paper", "paper")
    returns = request.query_params.get(desk.RETURN) == "1"
    return RedirectResponse(f"{steps.PATH}/{Step.CHECK if returns else Step.CONTACT}", 303)


@router.get(f"{_PAGE}/file")
async def file(hub: HubDep, seat: doors.SeatDep) -> Response:
    """Return the file to the person whose draft it lies with, as what it is and with nothing allowed to run."""
    seat.principal.require(Scope.REQUESTS_WRITE)
    async with hub.database.read(seat.principal.reach) as conn:
        content = await drafts.paper(conn, hub.vault, seat.principal)
    kind = next((each for each in _KINDS if content and content.startswith(each[0])), None)
    if content is None or kind is None:
        raise errors.NotFound
    headers = {**_SAFE, "Content-Disposition": f'inline; filename="paper.{kind[2]}"'}
    return Response(content, media_type=kind[1], headers=headers)


async def _refuse(
    request: Request, hub: HubDep, seat: doors.SeatDep, field: str, code: str, typed: str | None = None
) -> Response:
    async with hub.database.read(seat.principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
    if table.signer is None or Step.PAPER not in steps.order(table.action):
        return RedirectResponse(steps.PATH, 303)
    lang = rendering.language(request)
    text = i18n.text(f"console.filing.wrong.{code}", lang, most=LARGEST // _MIB)
    return _show(request, table, [Wrong(field, Step.PAPER, text)], 400, typed)


def _show(
    request: Request, table: Desk, wrong: list[Wrong] | None = None, status: int = 200, typed: str | None = None
) -> Response:
    size = int(table.answers.get("paper.size", 0))
    return desk.page(
        request,
        table,
        Step.PAPER,
        wrong=wrong,
        status=status,
        there=table.answers.get("paper.media"),
        size=f"{size / _MIB:.1f} MB" if size >= _MIB else f"{max(1, size // 1024)} kB",
        most=LARGEST // _MIB,
        typed=typed if typed is not None else table.answers.get("document.sha256", ""),
        goes_on=f"{steps.PATH}/digest" + ("?check=1" if request.query_params.get(desk.RETURN) == "1" else ""),
    )


def _without(answers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in answers.items() if not steps.owns(Step.PAPER, name)}


def _here(request: Request) -> str:
    return _PAGE + ("?check=1" if request.query_params.get(desk.RETURN) == "1" else "")
