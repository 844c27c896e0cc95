"""An agency files a request: authority checked, targets routed, all written in one transaction, then answered."""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, errors
from service.actions import before_filing, demands, idempotency, request_rows, signing, standing
from service.actions.before_filing import Before
from service.actions.idempotency import Once
from service.actions.signing import Owner
from service.audit import Log
from service.engine import activating, dossier, holding
from service.engine.hub import Hub
from service.models.subject_key import KeyOwner
from service.schemas.demands import ExtendRequest, SubmitRequest
from service.schemas.requests import RequestAccepted, Unreachable
from service.security import passkeys, signatures
from service.security.principals import Principal
from service.security.scopes import Scope
from service.security.signatures import Kind, SignatureRefused
from service.vault import subjects
from workflows import authority, deadlines
from workflows.terms import ActorKind, Fact, RequestState, Stage


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a filed request; ``repeated`` tells that it is the first one's."""

    answer: RequestAccepted
    repeated: bool


async def submit(
    hub: Hub, principal: Principal, key: str, body: SubmitRequest, raw: bytes, signature: str | None
) -> Submitted:
    """File a request, or return what the first submission under ``key`` was answered.

    ``raw`` are the bytes as received, ``signature`` is the officer's over their RFC 8785 form: what a second officer
    signs too. Raises ``InvalidInput`` naming the field, ``Forbidden`` (``authority.<rule>`` or ``signature.<reason>``,
    kept as a fact), ``InvalidInput`` for a key used with another body, ``Unauthenticated`` when suspended meanwhile.
    """
    principal.require(Scope.REQUESTS_WRITE)
    digest = hashlib.sha256(raw).hexdigest()
    once = Once(key, idempotency.fingerprint(raw))

    async def unit(conn: AsyncConnection) -> Submitted:
        before = await before_filing.read(
            conn,
            client_id=principal.client_id,
            key=key,
            owner=Owner("officer", body.officer_id, principal.tenant),
            signature=signature,
            case_number=body.case_number,
        )
        if before.earlier is not None:
            earlier = idempotency.answered(before.earlier, once)
            return Submitted(RequestAccepted.model_validate(earlier), True)
        log, answer = await _file(conn, hub, principal, body, raw, digest, signature, before)
        kept = answer.model_dump(mode="json")
        await idempotency.remember_with(log, principal, once, kept, answer.submitted_at)
        return Submitted(answer, False)

    while True:
        try:
            return await standing.run(hub, principal, unit)
        except (idempotency.Raced, request_rows.Overtaken):
            continue
        except authority.AuthorityRefused as refused:
            await _record_refusal(hub, principal, body, refused)
            raise errors.Forbidden(f"authority.{refused.rule}", **dict[str, Any](refused.params)) from None
        except SignatureRefused as unsigned:
            if unsigned.reason == "spent":
                # Perhaps by this very filing, which was committed after this unit had looked for it.
                async with hub.database.read(principal.reach) as conn:
                    earlier = await idempotency.earlier(conn, principal, once)
                if earlier is not None:
                    return Submitted(RequestAccepted.model_validate(earlier), True)
            chain = audit.tenant_chain(principal.tenant)
            error = await signing.refuse(
                hub, principal, unsigned, chain, officer_id=body.officer_id, action=str(body.action)
            )
            raise error from None


async def _file(
    conn: AsyncConnection,
    hub: Hub,
    principal: Principal,
    body: SubmitRequest,
    raw: bytes,
    digest: str,
    signature: str | None,
    before: Before,
) -> tuple[Log, RequestAccepted]:
    known = await hub.registry.known(conn)
    demand = await demands.weigh(conn, known, principal.tenant, body, before.who)
    now = demand.at
    signed = signing.judge(
        signature,
        before.key,
        kind=Kind.REQUEST,
        payload=signatures.canonical(raw),
        about=None,
        audience=hub.settings.address,
        now=now,
        # A passkey signs at a page of ours, and a page files for the person who sits at it.
        origin=passkeys.origin_of(hub.settings.address) if principal.kind is ActorKind.PERSON else None,
    )
    request_id = clock.new_id()
    sealing = await subjects.begin(conn, hub.vault, principal.tenant, KeyOwner.REQUEST, str(request_id), request_id)
    row = request_rows.request(hub, known, principal, body, demand, request_id, now, raw, digest, sealing)
    row["signature"] = signature
    row["case_id"] = before.case_id or clock.new_id()
    aims = request_rows.targets(hub, sealing, request_id, body)
    await request_rows.write(conn, row, aims, signed, opens=None if before.case_id else body.case_number)
    # All that the caller named was found among its own; orders go to others.
    await db.extend(conn, db.HUB)
    if demand.original_id is None:
        found = dossier.filed(
            row,
            aims,
            case_number=body.case_number,
            agency=demand.agency,
            officer=demand.officer,
            rules=known.policy,
            key=sealing,
        )
    else:
        found = (await dossier.load(conn, [request_id]))[request_id]
    try:
        plan = await activating.prepare(conn, hub, known, found)
    except activating.Unroutable as unroutable:
        raise demands.unknown_institution(body, unroutable) from None
    at_once = row["state"] is RequestState.ACTIVE
    # What one officer orders alone is counted, and held against the bounds, one after the other.
    log = await Log.open(conn, now, plan.chains | ({holding.chain(principal.tenant)} if at_once else set()))
    log.at = await standing.check(conn, principal)
    if demand.granted.review_within is not None:
        unreviewed = await demands.unreviewed(conn, principal.tenant, body.officer_id, but=request_id)
        authority.check_row(demand.granted, body.legal_basis, unreviewed)
    actor = principal.actor()
    log.record(
        found.chain,
        Fact.REQUEST_SUBMITTED,
        actor,
        principal.tenant,
        request_id=request_id,
        reference=row["reference"],
        action=str(body.action),
        officer_id=body.officer_id,
        legal_basis=str(body.legal_basis),
        rule=demand.granted.rule_name,
        amount=None if row["amount"] is None else str(row["amount"]),
        targets=len(found.targets),
        ends_at=row["ends_at"],
        body_commitment=hub.vault.commitment(sealing, digest),
        original_request_id=str(row["original_id"]) if row["original_id"] else None,
        extend_reason=str(body.reason) if isinstance(body, ExtendRequest) and body.reason else None,
    )
    unreachable: dict[str, UUID | None] = {}
    recipients = set(plan.recipients)
    passed = await holding.judge(conn, log, found, None, known.policy.bounds) if at_once else ()
    if passed:
        found = await holding.hold(conn, hub, log, found, passed)
        unreachable.update(dict.fromkeys(await activating.out_of_reach(conn, plan)))
    elif at_once:
        placed = await activating.activate(conn, hub, log, actor, found, plan)
        recipients = {placement.participant_id for placement in placed.orders.values()}
        unreachable.update(placed.unreachable)
        if demand.review_within is not None:
            await activating.start_review(conn, log, found, demand.review_within)
    else:
        within = deadlines.within(
            Stage.APPROVAL, deadlines.APPROVAL_WITHIN, action=body.action, overrides=found.policy.limit_overrides
        )
        await activating.start_approval(conn, log, found, within)
        unreachable.update(dict.fromkeys(await activating.out_of_reach(conn, plan)))
    return log, _answer(found, recipients, unreachable)


def _answer(found: dossier.Dossier, recipients: set[str], unreachable: dict[str, UUID | None]) -> RequestAccepted:
    request = found.request
    return RequestAccepted(
        id=found.id,
        reference=request["reference"],
        state=request["state"],
        action=request["action"],
        legal_basis=request["legal_basis"],
        authority_rule=request["authority_rule"],
        approvals_needed=request["approvals_needed"],
        starts_at=request["starts_at"],
        ends_at=request["ends_at"],
        review_by=request["review_by"],
        submitted_at=request["submitted_at"],
        recipients=sorted(recipients - set(unreachable)),
        unreachable=[
            Unreachable(participant_id=name, reason="no_endpoint", task_id=task)
            for name, task in sorted(unreachable.items())
        ],
    )


async def _record_refusal(
    hub: Hub, principal: Principal, body: SubmitRequest, refused: authority.AuthorityRefused
) -> None:
    chain = audit.tenant_chain(principal.tenant)

    async def unit(conn: AsyncConnection) -> None:
        log = await Log.open(conn, None, [chain])
        log.record(
            chain,
            Fact.AUTHORITY_REFUSED,
            principal.actor(),
            principal.tenant,
            rule=refused.rule,
            officer_id=body.officer_id,
            action=str(body.action),
            legal_basis=str(body.legal_basis),
            params=refused.params,
        )
        await log.flush()

    await hub.writer.run(unit, reach=principal.reach)
