"""What a hostile participant answers to a call: what no receiver of the hub's would."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response, StreamingResponse

from adapters.sandbox.behaviour import Trick

# An address that a hub must never be sent to: the metadata service of many clouds.
_ELSEWHERE = "http://169.254.169.254/latest/meta-data/"
_CHUNK = bytes(64 * 1024)


async def _without_end() -> AsyncIterator[bytes]:
    # The hub hangs up; until then it is fed as fast as it reads. What is sent to nobody waits for nothing: without the
    # pause the news that it hung up would never be heard.
    while True:
        yield _CHUNK
        await asyncio.sleep(0)


def answer(trick: Trick) -> Response | None:
    """Return the answer of a trick; ``None`` for one that takes the call and lies later."""
    plain: Mapping[Trick, Response] = {
        Trick.REDIRECT: Response(status_code=307, headers={"Location": _ELSEWHERE}),
        Trick.STATUS: Response(status_code=418),
        Trick.GARBAGE: Response(b'\0\xff{"Header": [', status_code=200, media_type="application/json"),
    }
    if trick is Trick.ENDLESS:
        return StreamingResponse(_without_end(), status_code=200, media_type="application/json")
    return plain.get(trick)
