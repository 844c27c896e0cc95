"""Whether this process lives, whether it may get work, and its figures for the operator's own monitoring."""

from fastapi import APIRouter, Request, Response

from service import db, metrics, migrations
from service.engine import node
from service.engine.hub import Hub
from service.schemas.health import Health
from service.web.doors import HubDep

router = APIRouter(tags=["operation"])


@router.get("/healthz", operation_id="getHealth")
async def healthz(hub: HubDep) -> Health:
    """Answer that the process lives; nothing else is asked."""
    return Health(status="ok", faults=[], drill=hub.settings.drill)


@router.get("/readyz", operation_id="getReadiness", responses={503: {"model": Health}})
async def readyz(request: Request, hub: HubDep, response: Response) -> Health:
    """Answer whether this node may get work: its database is there, at this build's schema, and its worker ticks."""
    faults: list[str] = []
    worker = request.app.state.worker
    try:
        await migrations.check(hub.database, drill=hub.settings.drill)
        if worker is None:
            faults += await _clock(hub)
    except migrations.SchemaMismatch:
        faults.append("schema.mismatch")
    except migrations.WrongKind:
        faults.append("database.kind")
    except Exception:
        faults.append("database.unreachable")
    if worker is not None:
        faults += worker.faults()
    if request.app.state.is_leaving:
        faults.append("node.stopping")
    if faults:
        response.status_code = 503
    return Health(status="ok" if not faults else "not_ready", faults=faults, drill=hub.settings.drill)


async def _clock(hub: Hub) -> list[str]:
    """Look at the clock of a node without a worker, whose heartbeat would: its tokens and proofs hang on it."""
    if hub.settings.embedded:
        return []
    async with hub.database.read(db.NOBODY) as conn:
        _, offset = await node.measured(conn)
    return ["clock.offset"] if abs(offset) > node.OFFSET_UNREADY else []


@router.get("/metrics", operation_id="getMetrics", response_class=Response, include_in_schema=False)
async def get_metrics() -> Response:
    """Return the counters in Prometheus' text form; no label holds personal data."""
    return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
