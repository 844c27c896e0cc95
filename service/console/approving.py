"""The page on which a second officer sees exactly what he signs, and approves it, or confirms an emergency hold."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse

from service import errors, i18n
from service.actions import approve_request, note_reading
from service.audit import Log
from service.console import doors, lanes, papers, rendering
from service.engine import activating, dossier, holding
from service.engine.hub import Hub
from service.queries import approvals, board, requests
from service.queries.approvals import Paper, Said, Signer
from service.queries.board import Background, Pressure
from service.queries.sessions import Seat
from service.schemas.requests import RequestDetail
from service.security import passkeys
from service.security.scopes import Scope
from service.security.signatures import Kind
from service.web.doors import AdmissionDep, HubDep
from workflows.bounds import Excess
from workflows.terms import Door, Role, Stage, View

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

# What to do about a refusal, by the end of its code; any other one of a family has the family's advice.
_TODO = {
    **dict.fromkeys(("signature.old", "signature.ahead", "signature.spent"), "again"),
    **dict.fromkeys(("signature.key_unknown", "signature.key_revoked", "signature.key_expired"), "key"),
    **dict.fromkeys(("signature.origin", "signature.user_unverified"), "passkey"),
    "signature.invalid": "content",
    "signature.same_key": "same_key",
}
_FAMILIES = {"signature": "paste", "authority": "authority"}


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What would follow a signature now: whom it reaches, whom by hand, where another hold is, which bounds it passes.

    ``unroutable``: nobody can act on it.
    """

    recipients: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    overlaps: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    unroutable: bool = False


@router.get("/requests/{request_id}/approve")
async def ask(request: Request, hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Show what there is to sign, and to the officer who may sign it, three ways to do so."""
    return await _show(request, hub, seat, request_id)


@router.post("/requests/{request_id}/approve")
async def answer(
    request: Request,
    hub: HubDep,
    seat: doors.SeatDep,
    fields: doors.FormDep,
    admission: AdmissionDep,
    request_id: UUID,
) -> Response:
    """Take the signature; show what happened, or why it was refused and what to do about it."""
    if seat.role is not Role.APPROVER:
        return await _show(request, hub, seat, request_id, status=403)
    say = approve_request.review if fields.get("kind") == Kind.REVIEW else approve_request.approve
    signature = fields.get("signature", "").strip() or None
    try:
        async with admission.activating():
            await say(hub, seat.principal, request_id, seat.principal.client_id, signature)
    except errors.NotFound:
        raise
    except errors.HubError as error:
        return await _show(request, hub, seat, request_id, status=error.status, refused=error)
    # The page tells from the records what the signature did: reloading it never sends the form again.
    return RedirectResponse(request.url.path, 303)


@router.get("/requests/{request_id}/approve/content.json")
async def content(hub: HubDep, seat: doors.SeatDep, request_id: UUID) -> Response:
    """Return the text that is signed, byte for byte, for those who sign it elsewhere."""
    seat.principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(seat.principal.reach) as conn:
        paper = await approvals.paper(conn, hub.vault, seat.principal, request_id, seat.now)
    if paper is None:
        raise errors.NotFound
    await note_reading.opened(hub, seat.principal, Door.CONSOLE, View.BODY, [request_id])
    headers = {"Content-Disposition": rendering.attachment(hub.settings, f"{paper.reference}.json")}
    return Response(paper.content.encode(), media_type="application/json", headers=headers)


async def _show(
    request: Request,
    hub: Hub,
    seat: Seat,
    request_id: UUID,
    *,
    status: int = 200,
    refused: errors.HubError | None = None,
) -> Response:
    principal = seat.principal
    principal.require(Scope.REQUESTS_READ)
    async with hub.database.read(principal.reach) as conn:
        paper = await approvals.paper(conn, hub.vault, principal, request_id, seat.now)
        detail = await requests.one(conn, hub.vault, principal, request_id)
        if paper is None or detail is None:
            raise errors.NotFound
        original = None
        if detail.original_request_id is not None:
            original = await requests.one(conn, hub.vault, principal, detail.original_request_id)
        signer = await approvals.signer(conn, principal, seat.now)
        outlook = await _outlook(conn, hub, seat, paper.awaits, request_id) if paper.awaits else _Outlook()
        behind = await board.background(
            conn,
            principal,
            request_id,
            officers={detail.officer_id, *(said.officer_id for said in paper.said)},
            participants={*outlook.recipients, *(order.participant_id for order in detail.order_list)},
        )
        pressing = await board.pressure(conn, principal, [request_id], seat.now)
    if behind is None:
        raise errors.NotFound
    await note_reading.opened(hub, principal, Door.CONSOLE, View.PAPER, detail.shows_targets_of())
    lang = rendering.language(request)
    reading = papers.Reading(lang, officer_names(behind, lang))
    return rendering.page(
        request,
        "approve.html",
        status=status,
        paper=paper,
        detail=detail,
        original=original,
        signer=signer,
        reason=_reason(seat, detail, paper, signer),
        done=_own_word(seat, paper),
        groups=papers.groups(paper.body, reading),
        summary=papers.summary(
            paper.body,
            reading,
            ends_at=detail.ends_at,
            original=original.reference if original else None,
            at=_short(behind, outlook.recipients) if len(outlook.recipients) == 1 else "",
        ),
        officer=reading.officer,
        behind=behind,
        outlook=outlook,
        short=functools.partial(_short, behind),
        reached=sorted({order.participant_id for order in detail.order_list}),
        bounds=", ".join(reading.term("excess", bound) for bound in outlook.bounds or paper.held_bounds),
        refusal=told(refused, lang) if refused else None,
        due_at=detail.review_by if paper.awaits is Kind.REVIEW else _approval_due(pressing[request_id]),
        hub=hub.settings.address,
        passkeys_at=passkeys.site_of(hub.settings.address),
        passkey_algorithm=passkeys.ALGORITHM,
        flag={Kind.APPROVAL: "--approve", Kind.REVIEW: "--review"}.get(paper.awaits or Kind.APPROVAL),
        looks=lanes.LOOKS,
        now=seat.now,
    )


def officer_names(behind: Background, lang: str) -> Callable[[str], str]:
    """Return how an officer is called: rank and number, never the name; one who is not known by his id."""

    def name(officer_id: str) -> str:
        if officer_id not in behind.officers:
            return officer_id
        held, number = behind.officers[officer_id]
        return f"{rank(held, lang)} {number}"

    return name


def rank(code: str, lang: str) -> str:
    """Return a rank's name; one of a newer version is shown as it is."""
    return i18n.sentence_case(i18n.texts(lang).get(f"terms.rank.{code}", code))


def _approval_due(pressure: Pressure) -> datetime | None:
    # Past it the ladder climbs, and the signature is as good as before: so it is shown on.
    if pressure.overdue_stage is Stage.APPROVAL:
        return pressure.overdue_since
    return pressure.due_at if pressure.stage is Stage.APPROVAL else None


def _short(behind: Background, ids: Iterable[str]) -> str:
    return ", ".join(behind.names[each].short if each in behind.names else each for each in ids)


async def _outlook(conn: AsyncConnection, hub: Hub, seat: Seat, awaits: Kind, request_id: UUID) -> _Outlook:
    found = (await dossier.load(conn, [request_id]))[request_id]
    known = await hub.registry.known(conn)
    passed: tuple[Excess, ...] = ()
    if awaits is Kind.APPROVAL:
        # As it looks now, without the lock: the signature itself is judged again.
        glance = Log(conn, seat.now, {})
        passed = await holding.judge(conn, glance, found, seat.principal.client_id, known.policy.bounds)
    try:
        plan = await activating.prepare(conn, hub, known, found)
    except activating.Unroutable:
        return _Outlook(unroutable=True)
    return _Outlook(
        tuple(sorted(plan.recipients)),
        tuple(await activating.out_of_reach(conn, plan)),
        tuple(sorted({hold["participant_id"] for hold in plan.overlaps})),
        tuple(map(str, passed)),
    )


def _reason(seat: Seat, detail: RequestDetail, paper: Paper, signer: Signer | None) -> str | None:
    """Return why this person gets no form, as a key of ``console.approve.why``; None for the one who may sign."""
    checks = (
        ("nothing", paper.awaits is None),
        ("role", seat.role is not Role.APPROVER),
        ("not_officer", signer is None),
        ("maker", seat.principal.client_id == detail.officer_id),
        ("inactive", signer is not None and not signer.serves),
        ("no_key", signer is not None and not signer.keys),
    )
    return next((name for name, holds in checks if holds), None)


def _own_word(seat: Seat, paper: Paper) -> Said | None:
    if paper.awaits is not None:
        return None
    return next((said for said in reversed(paper.said) if said.officer_id == seat.principal.client_id), None)


def told(error: errors.HubError, lang: str) -> dict[str, Any]:
    """Return a refusal in words: its title and detail, and which advice fits it (``console.approve.todo``)."""
    key = f"errors.{error.code}" if i18n.has(f"errors.{error.code}.title") else "errors.unknown"
    family = _FAMILIES.get(error.code.partition(".")[0], "state")
    return {
        "code": error.code,
        "title": i18n.text(f"{key}.title", lang),
        "detail": doors.told(error, lang),
        "todo": _TODO.get(error.code, family),
    }
