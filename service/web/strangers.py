"""How often somebody without a token may ask: counted by address, on this node."""

from typing import Annotated

from fastapi import Depends, Request

from service.web import addresses
from service.web.limits import Limits


async def stranger(request: Request) -> None:
    """Let a caller pass whom nobody knows. Raises ``TooManyRequests``.

    Behind a proxy that is not trusted all of them share the proxy's address.
    """
    limits: dict[str, Limits] = request.app.state.limits
    limits["stranger"].take(addresses.counted_as(request.client.host if request.client else ""))


Stranger = Annotated[None, Depends(stranger)]
