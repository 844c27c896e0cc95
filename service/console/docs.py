"""The API docs, offline: the contract as this hub generates it, and a page that shows it."""

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from service.console import doors, rendering

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

# The viewer's own stylesheet draws its arrows from data: images; nothing else is loosened, and nothing foreign loads.
_POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none';"
    " object-src 'none'"
)


@router.get("/openapi.json")
async def contract(request: Request) -> Response:
    """Return the OpenAPI document of this hub."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
async def show(request: Request) -> Response:
    """Show the contract with the vendored viewer."""
    response = rendering.page(request, "docs.html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response
