"""The last two pages of a filing: all answers to be checked, and the very text to be signed and filed."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse

from service import errors
from service.actions import keep_draft, submit_request
from service.console import approving, doors, mine, papers, rendering
from service.console.filing import body as bodies
from service.console.filing import desk, steps, targets, words
from service.console.filing import wrong as faults
from service.console.filing.desk import Desk
from service.console.filing.steps import Step
from service.console.filing.wrong import Wrong
from service.console.papers import Reading
from service.engine.hub import Hub
from service.queries import board, results
from service.queries.sessions import Seat
from service.schemas.demands import SubmitRequest
from service.security import passkeys
from service.security.scopes import Scope
from service.security.signatures import Kind
from service.web.doors import AdmissionDep, HubDep
from workflows import retry
from workflows.terms import Action, Urgency

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

_SHAPE: TypeAdapter[Any] = TypeAdapter(SubmitRequest)
_CHECK, _SIGN = f"{steps.PATH}/{Step.CHECK}", f"{steps.PATH}/{Step.SIGN}"


@dataclass(frozen=True, slots=True)
class _Checked:
    """A desk whose answers were judged: what is wrong, when the measure ends, who would get it, how many must sign."""

    table: Desk
    body: dict[str, Any]
    wrong: list[Wrong]
    ends_at: datetime | None
    recipients: tuple[str, ...]
    names: dict[str, str]
    approvals: int
    original: str | None


@router.get(_CHECK)
async def check(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show all answers, each with the way to change it, and what would come of them."""
    checked = await _judge(request, hub, seat)
    return _checks(request, checked, checked.wrong) if checked else RedirectResponse(steps.PATH, 303)


@router.get(_SIGN)
async def ask(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Show the text to be signed; with an answer that is wrong there is none yet."""
    checked = await _judge(request, hub, seat)
    if checked is None or checked.wrong:
        return RedirectResponse(_CHECK if checked else steps.PATH, 303)
    return _signs(request, hub, checked)


@router.post(_SIGN)
async def file(
    request: Request, hub: HubDep, seat: doors.SeatDep, fields: doors.FormDep, admission: AdmissionDep
) -> Response:
    """File the request with its signature, as a system does at the other door, and go to the receipt."""
    checked = await _judge(request, hub, seat)
    if checked is None or checked.wrong:
        # A button that was pressed twice: the first press filed it and took the draft away.
        return RedirectResponse(_CHECK if checked else mine.PATH, 303)
    content = bodies.content(checked.body)
    begun = checked.table.begun
    assert begun is not None
    # The same text filed twice, by a button that was pressed twice, is one request.
    key = f"draft-{begun.id}-{hashlib.sha256(content).hexdigest()[:16]}"
    urgent = retry.is_urgent(Action(checked.body["action"]), Urgency(checked.body["urgency"]))
    signature = fields.get("signature", "").strip() or None
    shaped = _SHAPE.validate_python(checked.body)
    try:
        async with admission.filing(urgent=urgent):
            filed = await submit_request.submit(hub, seat.principal, key, shaped, content, signature)
    except errors.InvalidInput as error:
        table = checked.table
        assert table.action is not None
        return _checks(request, checked, faults.of_error(error, table.answers, table.action, table.lang), error.status)
    except errors.HubError as error:
        return _signs(request, hub, checked, error)
    await keep_draft.discard(hub, seat.principal)
    return RedirectResponse(f"/requests/{filed.answer.id}/receipt", 303)


@router.get(f"{_SIGN}/content.json")
async def content(request: Request, hub: HubDep, seat: doors.SeatDep) -> Response:
    """Return the text to be signed, byte for byte, for those who sign it elsewhere."""
    checked = await _judge(request, hub, seat)
    if checked is None or checked.wrong:
        raise errors.NotFound
    headers = {"Content-Disposition": rendering.attachment(hub.settings, "request.json")}
    return Response(bodies.content(checked.body), media_type="application/json", headers=headers)


async def _judge(request: Request, hub: Hub, seat: Seat) -> _Checked | None:
    """Return the answers with what is wrong with them, or None where nothing was begun or nobody here may sign."""
    seat.principal.require(Scope.REQUESTS_WRITE)
    async with hub.database.read(seat.principal.reach) as conn:
        table = await desk.lay(conn, request, hub, seat)
        action = table.action
        if table.signer is None or table.begun is None or action is None:
            return None
        body, answers, lang = table.body(), table.answers, table.lang
        found = faults.shape(answers, body, action, lang)
        ends_at, approvals = None, 2
        if not found:
            found = faults.unrouted(table.known, answers, body, lang, table.day)
        if not found:
            granted, found = await faults.weighed(conn, table.known, seat.principal, answers, body, lang)
            if granted is not None:
                ends_at, approvals = granted.ends_at, granted.granted.approvals_needed
        reached = faults.recipients(table.known, body, table.day)
        original = await _original(conn, seat, answers)
        if original is not None:
            reached = tuple(await results.participants(conn, seat.principal, original[0], action))
        names = await targets.short_names(conn, set(reached))
    return _Checked(table, body, found, ends_at, reached, names, approvals, original[1] if original else None)


async def _original(conn: AsyncConnection, seat: Seat, answers: Mapping[str, str]) -> tuple[UUID, str] | None:
    """Return the request that a lift or an extension is about, with its reference; None where there is none."""
    try:
        about = UUID(answers.get("original_request_id", ""))
    except ValueError:
        return None
    known = await board.references(conn, seat.principal, {about})
    return (about, known[about]) if about in known else None


def _checks(request: Request, checked: _Checked, wrong: list[Wrong], status: int = 200) -> Response:
    table = checked.table
    reading = Reading(table.lang, str)
    return desk.page(
        request,
        table,
        Step.CHECK,
        wrong=wrong,
        status=status,
        rows=words.rows(table.answers, checked.body, reading, checked.ends_at),
        wrong_steps={each.step for each in wrong},
        original=checked.original,
        summary=None if wrong else _summary(checked, reading),
        recipients=[checked.names.get(each, each) for each in checked.recipients],
        approvals=checked.approvals,
    )


def _signs(request: Request, hub: Hub, checked: _Checked, refused: errors.HubError | None = None) -> Response:
    table = checked.table
    signer = table.signer
    assert signer is not None
    text = bodies.content(checked.body)
    reading = Reading(table.lang, lambda _: f"{approving.rank(signer.rank, table.lang)} {signer.number}")
    reason = "inactive" if not signer.serves else None if signer.keys else "no_key"
    return desk.page(
        request,
        table,
        Step.SIGN,
        status=refused.status if refused else 200,
        refusal=approving.told(refused, table.lang) if refused else None,
        reason=reason,
        summary=_summary(checked, reading),
        groups=papers.groups(checked.body, reading),
        content=text.decode(),
        digest=hashlib.sha256(text).hexdigest(),
        kind=Kind.REQUEST,
        signer=signer,
        approvals=checked.approvals,
        recipients=[checked.names.get(each, each) for each in checked.recipients],
        hub=hub.settings.address,
        passkeys_at=passkeys.site_of(hub.settings.address),
        passkey_algorithm=passkeys.ALGORITHM,
    )


def _summary(checked: _Checked, reading: Reading) -> str:
    at = checked.names.get(checked.recipients[0], "") if len(checked.recipients) == 1 else ""
    if at in {each.get("institution") or each.get("platform") for each in faults.targets(checked.body)}:
        at = ""  # it is called so already
    return papers.summary(checked.body, reading, ends_at=checked.ends_at, original=checked.original, at=at)
