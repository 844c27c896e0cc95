"""What the hub holds about one identifier, over all agencies: found by its blind indexes, for a decision to erase."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service.models import ActionRequest, Target, table_of
from service.vault import Vault
from workflows.terms import RequestState, TargetKind

_TARGETS = table_of(Target)
_REQUESTS = table_of(ActionRequest)


@dataclass(frozen=True, slots=True)
class Match:
    """A request about the identifier; what lifts or extends it is erased with it and not listed."""

    request_id: UUID
    reference: str
    tenant: str
    state: RequestState


async def about(conn: AsyncConnection, vault: Vault, kind: TargetKind, value: str) -> list[Match]:
    """Return the requests about an identifier in its canonical form, oldest first; nothing is opened for it."""
    agencies = (await conn.execute(sa.select(_TARGETS.c.tenant).distinct())).scalars().all()
    found: dict[UUID, Match] = {}
    for tenant in agencies:
        query = (
            sa.select(_REQUESTS.c.id, _REQUESTS.c.reference, _REQUESTS.c.tenant, _REQUESTS.c.state)
            .join(_TARGETS, _TARGETS.c.request_id == _REQUESTS.c.id)
            .where(_TARGETS.c.tenant == tenant, _TARGETS.c.value_index == vault.blind_index(tenant, kind, value))
        )
        found |= {row.id: Match(*row) for row in (await conn.execute(query)).all()}
    return [found[request_id] for request_id in sorted(found)]
