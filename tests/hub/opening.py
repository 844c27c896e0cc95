"""What tests read of sealed fields: opened with the key that is named in the value's head, as the hub opens it."""

from typing import Any
from uuid import UUID

from service.engine.hub import Hub
from service.vault import KeyRow, subjects


async def opened(hub: Hub, table: str, row: UUID | str, tenant: str, sealed: bytes) -> str:
    """Return the text of a sealed value."""
    async with hub.database.read() as conn:
        keys = await subjects.of(conn, sealed)
    return hub.vault.unseal(keys, table, row, tenant, sealed)


async def sealed_for(hub: Hub, request_id: UUID, table: str, row: Any, tenant: str, text: str) -> bytes:
    """Seal a text under the key of a request."""
    key: KeyRow = await hub.database.write(lambda conn: subjects.of_request(conn, hub.vault, tenant, request_id))
    return hub.vault.seal(key, table, row, text)
