"""The door at which anybody reads the keys under the hub's orders; it asks for no token, and tells no secret."""

from fastapi import APIRouter, Response

from service import db
from service.engine.hub import OPERATOR
from service.queries import signing_keys
from service.schemas.tokens import HubKeys
from service.web.doors import HubDep

router = APIRouter(prefix="/v1/signing-keys", tags=["tokens"])

# A participant that asks at every start, or on an unknown key, need not be answered from the database each time.
_FRESH = "public, max-age=300"


@router.get("", operation_id="getSigningKeys")
async def get_signing_keys(hub: HubDep, response: Response) -> HubKeys:
    """Return the public keys under the hub's orders: current, next and past."""
    response.headers["Cache-Control"] = _FRESH
    async with hub.database.read(db.Reach.of(OPERATOR)) as conn:
        return await signing_keys.of_the_hub(conn)
