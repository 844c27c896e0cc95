"""What the authority rules are asked about a filed request, and their answers turned into errors that name a field."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import errors
from service.actions.officers import Who
from service.engine import activating, dossier
from service.engine.dossier import Dossier
from service.models import ActionRequest, table_of
from service.queries.registry import Known
from service.schemas.demands import (
    NEWEST_START,
    OLDEST_START,
    DiscloseRequest,
    ExtendRequest,
    FreezeRequest,
    LiftRequest,
    PreserveRequest,
    RecallRequest,
    SubmitRequest,
    TakedownRequest,
    TraceRequest,
)
from workflows import authority, deadlines, disclose, extend, lift, takedown, trace, working_hours
from workflows.authority_rules import MOST_UNREVIEWED, AgencyLevel, Power, Rank
from workflows.terms import Action, OrderState, RequestState, Stage, TargetKind

_REQUESTS = table_of(ActionRequest)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A demand that the rules grant, with the instants it runs between, and whose demand it is, as the rows say.

    ``at`` is the instant at which the rules were asked.
    """

    at: datetime
    officer: dossier.Row
    agency: dossier.Row
    granted: authority.Granted
    starts_at: datetime
    ends_at: datetime | None
    original_id: UUID | None
    review_within: timedelta | None


async def weigh(conn: AsyncConnection, known: Known, tenant: str, body: SubmitRequest, who: Who | None) -> Weighed:
    """Ask the rules; raise ``AuthorityRefused`` for what they refuse, ``InvalidInput`` for a wrong field.

    ``who`` is the body's officer, None where the agency has no such one.
    """
    if who is None:
        raise errors.InvalidInput.of("/officer_id", "officer.unknown")
    person, agency, now = who.officer, who.agency, who.at
    original = await _original(conn, tenant, body)
    kinds = _kinds(body, original)
    _check_payment_and_asked(body, now)
    _check_window(body, now)
    first_start = original.request["starts_at"] if original else None
    starts_at = _start(body, now)
    try:
        ends_at = _end(body, known, kinds, starts_at, original, now)
        granted = authority.check(
            authority.Demand(
                action=body.action,
                basis=body.legal_basis,
                target_kinds=kinds,
                amount=_amount(body, original),
                whole_account=_whole_account(body, original),
                rank=Rank(person["rank"]),
                powers=frozenset(Power(power) for power in person["powers"]),
                agency_level=AgencyLevel(agency["level"] or AgencyLevel.WARD),
                agency_province=agency["province_code"],
                target_provinces=frozenset({body.province_code} if body.province_code else ()),
                officer_active=authority.is_serving(person["active"], person["appointed_until"], now),
                starts_at=first_start if first_start and body.action is Action.EXTEND else starts_at,
                ends_at=ends_at,
                now=now,
                urgency=body.urgency,
            ),
            known.calendar,
        )
    except authority.EndInPast:
        raise errors.InvalidInput.of("/ends_at", "ends_at.past") from None
    except authority.EndBeyondMaximum as beyond:
        raise errors.InvalidInput.of("/ends_at", "ends_at.beyond_maximum", latest=beyond.latest.isoformat()) from None
    except working_hours.BeyondCalendar as beyond:
        raise errors.InvalidInput.of("/ends_at", "calendar.unknown", day=beyond.day.isoformat()) from None
    review_within = granted.review_within
    if review_within is not None:
        chosen = deadlines.within(
            Stage.REVIEW,
            review_within,
            action=body.action,
            legal_basis=body.legal_basis,
            overrides=known.policy.limit_overrides,
        )
        # An operator may ask for more care than the rule does, never for less.
        review_within = min(chosen, review_within)
    return Weighed(now, person, agency, granted, starts_at, ends_at, original.id if original else None, review_within)


async def unreviewed(conn: AsyncConnection, tenant: str, officer_id: str, but: UUID) -> int:
    """Count the holds that an officer ordered alone since a second officer last signed for him, ``but`` this one.

    A review and an approval both are such a signature. No more are counted than the rule asks about; the caller holds
    the agency's lock, so that two at once are not both the first.
    """
    alone = sa.and_(_REQUESTS.c.action == Action.FREEZE, _REQUESTS.c.approvals_needed == 1)
    seconded = sa.and_(_REQUESTS.c.approvals_needed > 1, _REQUESTS.c.activated_at.is_not(None))
    query = (
        sa.select(_REQUESTS.c.approvals_needed, _REQUESTS.c.reviewed_at)
        .where(_REQUESTS.c.tenant == tenant, _REQUESTS.c.officer_id == officer_id, _REQUESTS.c.id != but)
        .where(sa.or_(alone, seconded))
        .order_by(sa.func.coalesce(_REQUESTS.c.activated_at, _REQUESTS.c.submitted_at).desc(), _REQUESTS.c.id.desc())
        .limit(MOST_UNREVIEWED)
    )
    rows = (await conn.execute(query)).all()
    row = itertools.takewhile(lambda one: one.approvals_needed == 1 and one.reviewed_at is None, rows)
    return sum(1 for _ in row)


def targets(body: SubmitRequest) -> Sequence[Any]:
    """Return the targets that a request names itself; a lift or an extension names none."""
    if isinstance(body, FreezeRequest | RecallRequest | TraceRequest):
        return [body.target]
    if isinstance(body, TakedownRequest | PreserveRequest | DiscloseRequest):
        return body.targets
    return []


def unknown_institution(body: SubmitRequest, unroutable: activating.Unroutable) -> errors.InvalidInput:
    """Turn "nobody is known as …" into the error of the field that says so."""
    at = (
        "/target"
        if isinstance(body, FreezeRequest | RecallRequest | TraceRequest)
        else f"/targets/{unroutable.position}"
    )
    said = targets(body)[unroutable.position]
    # A platform may have been looked for by the host of an address.
    field = unroutable.why.field if getattr(said, unroutable.why.field, None) is not None else "value"
    return errors.InvalidInput.of(f"{at}/{field}", "institution.unknown", value=unroutable.why.value)


async def _original(conn: AsyncConnection, tenant: str, body: SubmitRequest) -> Dossier | None:
    if not isinstance(body, LiftRequest | ExtendRequest):
        return None
    found = (await dossier.load(conn, [body.original_request_id])).get(body.original_request_id)
    if found is None or found.tenant != tenant:
        raise errors.InvalidInput.of("/original_request_id", "request.unknown")
    allowed = lift.ABOUT if isinstance(body, LiftRequest) else extend.ABOUT
    if found.request["action"] not in allowed or not await _stands(conn, found, body):
        raise errors.InvalidInput.of("/original_request_id", "request.not_active")
    if isinstance(body, ExtendRequest):
        try:
            await activating.check_standing(conn, found)
        except activating.HoldIsOver:
            raise errors.InvalidInput.of("/original_request_id", "request.not_active") from None
    return found


async def _stands(conn: AsyncConnection, found: Dossier, body: SubmitRequest) -> bool:
    """Tell whether there is still something to lift or to extend.

    A takedown or a preservation is closed once all have executed it, and stays in force: it can be lifted after that.
    """
    if found.request["state"] is RequestState.CLOSED and isinstance(body, LiftRequest):
        return any(order["state"] is OrderState.EXECUTED for order in await dossier.orders_of(conn, found.id))
    return found.request["state"] is RequestState.ACTIVE


def _kinds(body: SubmitRequest, original: Dossier | None) -> frozenset[TargetKind]:
    if original is None:
        _refuse_twins_and_measures(body)
        return frozenset(target.kind for target in targets(body))
    return frozenset(target["kind"] for target in original.targets.values())


def _refuse_twins_and_measures(body: SubmitRequest) -> None:
    seen: set[tuple[TargetKind, str, str | None]] = set()
    for position, target in enumerate(targets(body)):
        # One account number at two banks, or one name on two platforms, are two targets.
        where = getattr(target, "institution", None) or getattr(target, "platform", None)
        if (target.kind, target.value, where) in seen:
            raise errors.InvalidInput.of(f"/targets/{position}", "target.repeated")
        seen.add((target.kind, target.value, where))
        if isinstance(body, TakedownRequest) and body.measure not in takedown.MEASURES[target.kind]:
            raise errors.InvalidInput.of("/measure", "measure.not_for_target", position=position)


def _check_payment_and_asked(body: SubmitRequest, now: datetime) -> None:
    if isinstance(body, RecallRequest) and body.payment.sent_on > now.astimezone(working_hours.VIETNAM).date():
        raise errors.InvalidInput.of("/payment/sent_on", "payment.not_sent_yet")
    if not isinstance(body, DiscloseRequest):
        return
    for place, datum in enumerate(body.asked):
        if datum in body.asked[:place]:
            raise errors.InvalidInput.of(f"/asked/{place}", "asked.repeated")
        for position, target in enumerate(body.targets):
            if not disclose.may_be_asked(datum, target.kind):
                raise errors.InvalidInput.of(f"/asked/{place}", "asked.not_for_target", position=position)


def _check_window(body: SubmitRequest, now: datetime) -> None:
    if not isinstance(body, TraceRequest):
        return
    flaw = trace.window_flaw(body.window.since, body.window.until, now)
    if flaw is not None:
        hours = trace.LONGEST_WINDOW // timedelta(hours=1)
        raise errors.InvalidInput.of("/window/until", f"window.{flaw}", hours=hours)


def _start(body: SubmitRequest, now: datetime) -> datetime:
    named: datetime | None = getattr(body, "starts_at", None)
    if named is not None and named < now - OLDEST_START:
        raise errors.InvalidInput.of("/starts_at", "starts_at.past")
    if named is not None and named > now + NEWEST_START:
        raise errors.InvalidInput.of("/starts_at", "starts_at.future")
    return named or now


def _end(
    body: SubmitRequest,
    known: Known,
    kinds: frozenset[TargetKind],
    starts_at: datetime,
    original: Dossier | None,
    now: datetime,
) -> datetime | None:
    if isinstance(body, LiftRequest):
        return None
    if isinstance(body, ExtendRequest):
        assert original is not None
        if original.request["ends_at"] is None or body.ends_at <= original.request["ends_at"]:
            raise errors.InvalidInput.of("/ends_at", "ends_at.not_later")
        return body.ends_at
    if not isinstance(body, RecallRequest | DiscloseRequest | TraceRequest) and body.ends_at is not None:
        return body.ends_at
    return authority.default_end(
        body.action,
        body.legal_basis,
        starts_at,
        known.calendar,
        target_kinds=kinds,
        measure=body.measure if isinstance(body, TakedownRequest) else None,
        first_start=min(starts_at, now),
    )


def _amount(body: SubmitRequest, original: Dossier | None) -> int | None:
    if isinstance(body, FreezeRequest | RecallRequest):
        return body.amount.minor_units if body.amount else None
    return original.request["amount"] if original else None


def _whole_account(body: SubmitRequest, original: Dossier | None) -> bool:
    if isinstance(body, FreezeRequest):
        return body.whole_account is not None
    return bool(original and original.request["whole_account"])
