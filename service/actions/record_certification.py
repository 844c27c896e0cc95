"""The signed report of a passed examination is taken into the registry; from then on it lets an endpoint pass."""

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import clock, errors
from service.actions import changes
from service.actions.changes import Change
from service.engine.hub import Hub
from service.models import Certification, PublicKey, table_of
from service.schemas.certifications import CertificationAnswer
from service.security import certifications
from service.security.certifications import Read, ReportRefused
from service.security.principals import Principal
from service.security.scopes import Scope
from workflows import conformance
from workflows.terms import Sector

_TABLE = table_of(Certification)
_KEYS = table_of(PublicKey)


async def record(hub: Hub, principal: Principal, participant_id: str, raw: bytes) -> CertificationAnswer:
    """Record a report, given as the very text that was written; the same report again is answered as the first time.

    Raises ``NotFound``, and ``InvalidInput`` on ``/report`` for one that does not hold (``certification.form``,
    ``.signature``, ``.verdict``), is another participant's (``.participant``), was not signed by this hub (``.hub``),
    did not pass (``.failed``) or is too old (``.old``).
    """
    principal.require(Scope.REGISTRY_WRITE)
    try:
        read = certifications.read(raw)
    except ReportRefused as refused:
        raise _refusal(refused.reason) from None

    async def work(change: Change) -> CertificationAnswer:
        owner = await changes.participant(change)
        _check(hub, read, participant_id, owner.sector, change.at)
        if not await _is_own(change.conn, read):
            raise _refusal("hub")
        same = sa.select(_TABLE).where(_TABLE.c.tenant == change.tenant, _TABLE.c.report_sha256 == read.sha256)
        earlier = (await change.conn.execute(same)).one_or_none()
        if earlier is not None:
            return _show(dict(earlier._mapping))
        row = _row(read, change, principal)
        await change.conn.execute(sa.insert(_TABLE).values(row))
        change.note("endpoint.certified", profile=str(read.report.profile), sha256=read.sha256, passed=True)
        return _show(row)

    return await changes.run(hub, principal, participant_id, work)


def _check(hub: Hub, read: Read, participant_id: str, sector: Sector, now: datetime) -> None:
    report = read.report
    if report.participant_id != participant_id or report.sector is not sector:
        raise _refusal("participant")
    if report.hub != hub.settings.address:
        raise _refusal("hub")
    if not report.passed:
        raise _refusal("failed")
    if not conformance.is_recent(report.ended_at, now, timedelta(days=hub.settings.certification_days)):
        raise _refusal("old")


async def _is_own(conn: AsyncConnection, read: Read) -> bool:
    """Tell whether the key that signed a report is one of this hub's, and was good then."""
    query = sa.select(_KEYS).where(_KEYS.c.kid == read.kid, _KEYS.c.owner_kind == "hub", _KEYS.c.revoked_at.is_(None))
    key = (await conn.execute(query)).one_or_none()
    return key is not None and key.not_before <= read.report.ended_at < key.not_after


def _row(read: Read, change: Change, principal: Principal) -> dict[str, Any]:
    report = read.report
    return {
        "id": clock.new_id(),
        "tenant": change.tenant,
        "profile": report.profile,
        "host": report.host,
        "port": report.port,
        "definition_sha256": report.definition_sha256,
        "report_sha256": read.sha256,
        "kid": read.kid,
        "ended_at": report.ended_at,
        "recorded_by": principal.client_id,
        "recorded_at": change.at,
    }


def _show(row: dict[str, Any]) -> CertificationAnswer:
    names = CertificationAnswer.model_fields.keys() - {"participant_id"}
    return CertificationAnswer(participant_id=row["tenant"], **{name: row[name] for name in names})


def _refusal(reason: str) -> errors.InvalidInput:
    return errors.InvalidInput.of("/report", f"certification.{reason}")
