"""Whether this process lives, whether it may get work, and its figures for the operator's own monitoring."""

from fastapi import APIRouter, Request, Response

from service import metrics, migrations
from service.schemas.health import Health
from service.web.doors import HubDep

router = APIRouter(tags=["operation"])


@router.get("/healthz", operation_id="getHealth")
async def healthz() -> Health:
    """Answer that the process lives; nothing else is asked."""
    return Health(status="ok", faults=[])


@router.get("/readyz", operation_id="getReadiness", responses={503: {"model": Health}})
async def readyz(request: Request, hub: HubDep, response: Response) -> Health:
    """Answer whether this node may get work: its database is there, at this build's schema, and its worker ticks."""
    faults: list[str] = []
    try:
        await migrations.check(hub.database)
    except migrations.SchemaMismatch:
        faults.append("schema.mismatch")
    except Exception:
        faults.append("database.unreachable")
    worker = request.app.state.worker
    if worker is not None:
        faults += worker.faults()
    if request.app.state.is_leaving:
        faults.append("node.stopping")
    if faults:
        response.status_code = 503
    return Health(status="ok" if not faults else "not_ready", faults=faults)


@router.get("/metrics", operation_id="getMetrics", response_class=Response, include_in_schema=False)
async def get_metrics() -> Response:
    """Return the counters in Prometheus' text form; no label holds personal data."""
    return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")
