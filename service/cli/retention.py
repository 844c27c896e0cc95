"""Commands for retention: the table that is in force, its changes by two people, and what is kept beyond its time."""

from typing import Annotated
from uuid import UUID

import typer

from service import db
from service.actions import change_retention, legal_hold
from service.cli import context, output
from service.cli.output import AsJson
from service.engine import retaining
from service.engine.hub import Hub
from service.queries import retention
from workflows.record_terms import HoldReason, RecordKind

app = typer.Typer(help="How long records about persons are kept.", no_args_is_help=True)

Request = Annotated[str, typer.Argument(help="the request's id or reference")]


@app.command()
def show(as_json: AsJson = False) -> None:
    """Print the table: what is in force, what is proposed, and what is kept beyond its time."""
    rows = context.act(_rows)
    output.table(as_json, ("state", "kind", "keep", "fate", "source", "by", "id"), rows)


@app.command()
def propose(
    kind: Annotated[RecordKind, typer.Argument(help="the kind of record")],
    keep: Annotated[str, typer.Option(help="how long after its end: P24M, P90D")],
    source: Annotated[str, typer.Option(help="the law or order that the number is from")],
    by: context.By = None,
    key: context.Key = None,
    as_json: AsJson = False,
) -> None:
    """Propose another term; nothing changes before another administrator approves it."""

    async def do(hub: Hub) -> UUID:
        return await change_retention.propose(hub, await context.who(hub, by, key), kind, keep, source)

    made = str(context.act(do, writes=True))
    output.answer(as_json, {"id": made, "next": f"another person: hoatoc retention approve {made} --by … --key …"})


@app.command()
def approve(
    rule_id: Annotated[UUID, typer.Argument(help="the proposal's id")],
    by: context.SecondBy,
    key: context.SecondKey,
    as_json: AsJson = False,
) -> None:
    """Put in force what another administrator proposed."""

    async def do(hub: Hub) -> None:
        await change_retention.approve(hub, await context.who(hub, by, key), rule_id)

    context.act(do, writes=True)
    output.answer(as_json, {"id": str(rule_id), "state": "in force"})


@app.command()
def hold(
    request: Request,
    reason: Annotated[HoldReason, typer.Option(help="why it is kept")],
    as_json: AsJson = False,
) -> None:
    """Keep a request, and all that lifts or extends it, beyond its time."""
    held = context.act(lambda hub: legal_hold.place(hub, context.person(), request, reason), writes=True)
    output.answer(as_json, {"request_id": str(held), "held": str(reason)})


@app.command()
def release(request: Request, as_json: AsJson = False) -> None:
    """Let a request's own term count again."""
    released = context.act(lambda hub: legal_hold.release(hub, context.person(), request), writes=True)
    output.answer(as_json, {"request_id": str(released), "held": None})


@app.command()
def run(as_json: AsJson = False) -> None:
    """Erase and reduce what is over now, as the worker does each hour."""
    done = context.act(retaining.retain, writes=True)
    output.answer(as_json, {"erased": done.erased, "reduced": done.reduced, "names": done.names})


async def _rows(hub: Hub) -> list[dict[str, object]]:
    async with hub.database.read(db.HUB) as conn:
        rules, proposals = await retention.in_force(conn), await retention.proposed(conn)
        kept = await retention.held(conn)
    told: list[dict[str, object]] = [
        {
            "state": "in force",
            "kind": str(rule.kind),
            "keep": rule.keep.written(),
            "fate": str(rule.fate),
            "source": rule.source,
            "by": "",
            "id": "",
        }
        for rule in rules
    ]
    told += [
        {
            "state": "proposed",
            "kind": str(rule.kind),
            "keep": rule.keep.written(),
            "fate": str(rule.fate),
            "source": rule.source,
            "by": by,
            "id": str(rule_id),
        }
        for rule_id, rule, by in proposals
    ]
    told += [
        {
            "state": "kept",
            "kind": str(RecordKind.ENDED_MEASURE),
            "keep": "",
            "fate": "",
            "source": str(each.reason),
            "by": each.placed_by,
            "id": each.reference,
        }
        for each in kept
    ]
    return told
