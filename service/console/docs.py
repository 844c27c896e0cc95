"""The API docs, offline: the promised contracts as they are committed, and a page that shows them."""

from enum import StrEnum
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse

from service.console import doors, rendering

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

# What the hub promises is the committed file, which the tests compare with the routes.
_PROMISES = Path(__file__).parents[2] / "openapi"

# The viewer's own stylesheet draws its arrows from data: images; nothing else is loosened, and nothing foreign loads.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'"
)


class Contract(StrEnum):
    """The two contracts: what clients call at the hub, and the webhook that participants implement."""

    HUB = "hub"
    PARTICIPANT = "participant"


@router.get("/openapi.json")
async def hub_contract() -> Response:
    """Return the hub's own contract at the address where tools look for it."""
    return _file(Contract.HUB)


@router.get("/openapi/{contract}.v1.json")
async def one_contract(contract: Contract) -> Response:
    """Return one of the contracts."""
    return _file(contract)


@router.get("/docs")
async def show(request: Request, contract: Contract = Contract.HUB) -> Response:
    """Show a contract with the vendored viewer."""
    response = rendering.page(request, "docs.html", contract=contract, contracts=tuple(Contract))
    response.headers["Content-Security-Policy"] = _POLICY
    return response


def _file(contract: Contract) -> Response:
    return FileResponse(_PROMISES / f"{contract}.v1.json", media_type="application/json")
