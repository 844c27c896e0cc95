"""The verifier of evidence bundles: public keys and arithmetic, no database, no settings and no word of the hub."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from service.schemas.evidence import (
    Bundle,
    EvidenceApproval,
    EvidenceDecision,
    EvidenceFact,
    EvidenceReply,
    EvidenceSilenceEnd,
    EvidenceWithdrawal,
)
from service.security import evidence_checks as checks
from service.security import evidence_orders
from service.security.evidence_checks import Check, Findings
from service.security.evidence_orders import Section
from service.security.signatures import Kind, Unverified
from workflows.silence import MESSAGE_TYPE, SIGNED

__all__ = ["Check", "content", "verify"]


def verify(text: str, keys: Sequence[Mapping[str, Any]] | None = None) -> list[Check]:
    """Check everything that a bundle says; it holds where no check is wrong.

    ``keys`` are public keys that were obtained elsewhere, as JWK members with, where known, ``owner_kind``,
    ``owner_id``, ``not_before``, ``not_after`` and ``revoked_at``: each key that signed something must be among them
    and agree. A key that names no owner, as ``GET /v1/signing-keys`` lists them, is taken for the hub's and for nobody
    else's. Without them a bundle proves only that it is whole.
    """
    try:
        read = json.loads(text)
        bundle = Bundle.model_validate(read)
    except (ValueError, RecursionError) as wrong:
        return [Check("bundle.form", "", _where(wrong))]
    findings = Findings(bundle)
    findings.note("bundle.form", bundle.format)
    checks.drill(findings)
    sections = [Section.of(request) for request in bundle.requests]
    asked = sections[0]
    _related(findings, sections)
    for section in sections:
        _request(findings, section)
        evidence_orders.verify(findings, section, sections[-1])
    findings.signature(
        "bundle.seal",
        bundle.seal,
        kind=Kind.EVIDENCE,
        payload=checks.encoded(content(read)),
        owner=evidence_orders.HUB,
        about=asked.id,
        taken_at=bundle.exported_at,
    )
    _registry(findings)
    if keys is not None:
        _elsewhere(findings, keys)
    return findings.checks


def content(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the seal is over: every member but the seal itself."""
    return {name: value for name, value in bundle.items() if name != "seal"}


def _where(wrong: Exception) -> str:
    if isinstance(wrong, ValidationError):
        return "; ".join(".".join(map(str, error["loc"])) for error in wrong.errors())
    return "not JSON"


def _related(findings: Findings, sections: list[Section]) -> None:
    """A request that lifts or extends another one brings that one along, and no other request comes along."""
    original = getattr(sections[0].demand, "original_request_id", None)
    wanted = [str(original)] if original else []
    findings.expect("bundle.requests", sections[0].id, original=([each.id for each in sections[1:]], wanted))


def _request(findings: Findings, section: Section) -> None:
    request, body = section.request, section.body
    findings.note("audit.chain", f"{len(request.facts)} facts of {request.id}", checks.chain(request))
    findings.expect(
        "audit.tenant",
        request.id,
        tenant=({fact.tenant for fact in request.facts}, {request.agency}),
        request_id=({fact.request_id for fact in request.facts}, {request.id}),
    )
    filed = section.only("request.submitted")
    said = checks.data(filed) if filed else {}
    officer = str(body.get("officer_id"))
    first = findings.signature(
        "request.signature",
        request.signature,
        kind=Kind.REQUEST,
        payload=checks.canonical(request.body),
        owner=("officer", officer, request.agency),
        about=None,
        taken_at=checks.instant(filed.at) if filed else None,
    )
    findings.expect(
        "request.fact",
        request.id,
        fact=(filed is not None and filed is request.facts[0], True),
        body=(section.demand is not None, True),
        agency=(filed.actor.tenant if filed else None, request.agency),
        body_named=checks.names(request, said, "body", request.body),
        officer_id=(said.get("officer_id"), officer),
        action=(said.get("action"), body.get("action")),
        legal_basis=(said.get("legal_basis"), body.get("legal_basis")),
        amount=(said.get("amount"), checks.member(body.get("amount"), "value")),
        original=(said.get("original_request_id"), body.get("original_request_id")),
    )
    for kind, code in (("approval", "request.approved"), ("review", "request.reviewed")):
        _second_officer(findings, section, kind, code, officer, first)
    if section.needs_two and section.facts_of("request.activated"):
        given = [each for each in request.approvals if each.kind == "approval"]
        findings.note("request.four_eyes", request.id, "" if given else "nobody approved it")
    _withdrawal(findings, section)
    _silence(findings, section)
    replies, decisions = section.facts_of("appeal.answered"), section.facts_of("appeal.decided")
    _about_appeals(findings, section, "reply", Kind.REPLY, request.replies, replies)
    both = ("outcome", "reason_code")
    _about_appeals(
        findings, section, "decision", Kind.DECISION, request.decisions, decisions, not_by=officer, alike=both
    )


def _second_officer(
    findings: Findings, section: Section, kind: str, code: str, first_officer: str, first: Unverified | None
) -> None:
    request = section.request
    given = [each for each in request.approvals if each.kind == kind]
    told = section.facts_of(code)
    if not given and not told:
        return
    findings.expect(f"{kind}.fact", request.id, facts=(len(told), len(given)), at_most_one=(len(given) <= 1, True))
    for approval, fact in zip(given, told, strict=False):
        meant, at = Kind.APPROVAL if kind == "approval" else Kind.REVIEW, checks.instant(fact.at)
        signed = _officers(findings, section, kind, meant, approval, about=request.id, taken_at=at)
        said = checks.data(fact)
        same_key = first is not None and signed is not None and first.kid == signed.kid
        findings.expect(
            f"{kind}.four_eyes",
            approval.officer_id,
            another_officer=(approval.officer_id != first_officer, True),
            another_key=(same_key, False),
            officer_id=(said.get("officer_id"), approval.officer_id),
            body_named=checks.names(request, said, "body", request.body),
            in_order=(_comes_first(section, fact), True),
        )


def _comes_first(section: Section, fact: EvidenceFact) -> bool:
    """Tell whether a second officer spoke after the first one, and an approval before anything was placed."""
    placed = section.facts_of("order.placed")
    if fact.code == "request.reviewed" or not placed:
        return fact.sequence > 1
    return 1 < fact.sequence < placed[0].sequence


def _withdrawal(findings: Findings, section: Section) -> None:
    """Whoever takes a request back signs it, before anything was placed."""
    request, withdrawn, told = section.request, section.request.withdrawal, section.facts_of("request.withdrawn")
    if withdrawn is None and not told:
        return
    findings.expect(
        "withdrawal.fact",
        request.id,
        facts=(len(told), 1),
        signed=(withdrawn is not None, True),
        active=(section.facts_of("request.activated"), []),
    )
    if withdrawn is None:
        return
    at = checks.instant(told[0].at) if told else None
    _officers(findings, section, "withdrawal", Kind.WITHDRAWAL, withdrawn, about=request.id, taken_at=at)
    said = checks.data(told[0]).get("officer_id") if told else None
    body = checks.object_of(withdrawn.body)
    findings.expect(
        "withdrawal.agrees",
        request.id,
        officer_id=((body.get("officer_id"), said), (withdrawn.officer_id, withdrawn.officer_id)),
    )


def _silence(findings: Findings, section: Section) -> None:
    """Two officers with two keys end the silence of a disclosure, once, and no participant is told before they did."""
    ends, told = section.request.silence_ends, section.facts_of("request.silence_ended")
    messages = [each for order in section.request.orders for each in order.messages if each.type == MESSAGE_TYPE]
    if not ends and not told and not messages:
        return
    findings.expect("silence.fact", section.id, facts=(len(told), 1), signed=(len(ends), 2))
    said, at = (checks.data(told[0]), checks.instant(told[0].at)) if told else ({}, None)
    kids = set()
    for each in ends:
        signed = _officers(findings, section, "silence", Kind.SILENCE, each, about=section.id, taken_at=at)
        kids |= {signed.kid} if signed else set()
    named = sorted(str(said.get(name)) for name in ("officer_id", "second_officer_id"))
    findings.expect(
        "silence.agrees",
        section.id,
        officers=(sorted({each.officer_id for each in ends}), named),
        keys=(len(kids), 2),
        bodies=([checks.object_of(each.body) for each in ends], [{name: said.get(name) for name in SIGNED}] * 2),
        reason=({each.body.get("reason") for each in messages} - {said.get("reason")}, set()),
        told=(
            sorted(str(each.body.get("order_id")) for each in messages),
            sorted(str(checks.member(each, "order_id")) for each in said.get("told", [])),
        ),
    )


def _about_appeals(
    findings: Findings,
    section: Section,
    name: str,
    kind: Kind,
    given: Sequence[EvidenceReply | EvidenceDecision],
    told: list[EvidenceFact],
    *,
    not_by: str | None = None,
    alike: Sequence[str] = (),
) -> None:
    """Hold what officers signed about appeals against their facts, which say the same in the members ``alike``.

    ``not_by`` is the officer who may not have signed any of it.
    """
    if not given and not told:
        return
    facts = {str(checks.data(fact).get("appeal_id")): fact for fact in told}
    ids = sorted(each.appeal_id for each in given)
    findings.expect(f"{name}.fact", section.id, appeals=(ids, sorted(facts)))
    for each in given:
        fact, officer = facts.get(each.appeal_id), each.officer_id
        at = checks.instant(fact.at) if fact else None
        _officers(findings, section, name, kind, each, about=each.appeal_id, taken_at=at)
        said, body = checks.data(fact) if fact else {}, checks.object_of(each.body)
        pairs: dict[str, tuple[Any, Any]] = {member: (said.get(member), body.get(member)) for member in alike}
        pairs["officer_id"] = ((body.get("officer_id"), said.get("officer_id")), (officer, officer))
        findings.expect(f"{name}.agrees", each.appeal_id, another_officer=(officer == not_by, False), **pairs)


def _officers(
    findings: Findings,
    section: Section,
    name: str,
    kind: Kind,
    signed: EvidenceApproval | EvidenceWithdrawal | EvidenceSilenceEnd | EvidenceReply | EvidenceDecision,
    *,
    about: str,
    taken_at: datetime | None,
) -> Unverified | None:
    """Check what an officer of the request's agency signed: an approval is over the request, the rest over its own."""
    return findings.signature(
        f"{name}.signature",
        signed.signature,
        kind=kind,
        payload=checks.canonical(section.request.body if isinstance(signed, EvidenceApproval) else signed.body),
        owner=("officer", signed.officer_id, section.request.agency),
        about=about,
        taken_at=taken_at,
    )


def _registry(findings: Findings) -> None:
    bundle = findings.bundle
    kids = [key.kid for key in bundle.keys]
    findings.expect("keys.used", f"{len(kids)} keys", kids=(sorted(kids), sorted(findings.used)))
    known = [officer.id for officer in bundle.officers]
    signed = {str(Section.of(request).body.get("officer_id")) for request in bundle.requests}
    signed |= {approval.officer_id for request in bundle.requests for approval in request.approvals}
    signed |= {each.officer_id for request in bundle.requests for each in (*request.replies, *request.decisions)}
    signed |= {request.withdrawal.officer_id for request in bundle.requests if request.withdrawal}
    signed |= {each.officer_id for request in bundle.requests for each in request.silence_ends}
    findings.expect("officers.named", f"{len(known)} officers", officers=(sorted(known), sorted(signed)))


def _elsewhere(findings: Findings, keys: Sequence[Mapping[str, Any]]) -> None:
    listed = {str(key.get("kid")): key for key in keys}
    for key in findings.bundle.keys:
        theirs = listed.get(key.kid)
        if theirs is None:
            wrong = "not in the list"
        elif "owner_id" not in theirs and (key.owner_kind, key.owner_id) != evidence_orders.HUB[:2]:
            wrong = "unknown owner"
        else:
            wrong = checks.against(key, theirs)
        findings.note("keys.elsewhere", f"{key.owner_id} {key.kid}", wrong)
