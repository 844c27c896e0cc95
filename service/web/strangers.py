"""How often somebody without a token may ask: counted by address, on this node."""

from typing import Annotated

from fastapi import Depends, Request

from service.web.limits import Limits


async def stranger(request: Request) -> None:
    """Let a caller pass whom nobody knows. Raises ``TooManyRequests``.

    Behind a proxy, which counts each address itself, all of them share the proxy's one.
    """
    limits: dict[str, Limits] = request.app.state.limits
    limits["stranger"].take(request.client.host if request.client else "")


Stranger = Annotated[None, Depends(stranger)]
