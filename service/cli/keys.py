"""Commands for keys: the inventory of all of them, and their replacement while the hub runs."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from service import clock, db
from service.cli import context, output
from service.cli.output import AsJson
from service.engine import reindexing, rekeying, resealing
from service.engine.hub import OPERATOR, Hub
from service.queries import keys
from service.security import signing_keys
from service.security.signing_keys import ORDERS, TOKENS, Series
from service.vault import subjects

app = typer.Typer(help="Keys: which there are, and their replacement.", no_args_is_help=True)
rotate = typer.Typer(help="Replace keys; nothing becomes unreadable meanwhile.", no_args_is_help=True)
app.add_typer(rotate, name="rotate")

_COLUMNS = ("kind", "owner", "key", "state", "created_at", "not_after", "count", "where")


@app.command("list")
def show(as_json: AsJson = False) -> None:
    """List every key with its owner, state, validity and place; never a secret."""
    output.table(as_json, _COLUMNS, context.act(_listed))


@rotate.command()
def vault(
    prepare: Annotated[
        bool, typer.Option(help="only make the new master key, to be copied to every other node")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Replace the vault's master key: wrap every tenant's key with a new one, and seal anew what an old build sealed.

    With several nodes: --prepare first, copy the new file into each node's keys folder (mode 0400), then run it again.
    """
    output.answer(as_json, context.act(lambda hub: _rotate_master(hub, prepare)))


@rotate.command()
def tenant(
    participant: Annotated[str | None, typer.Argument(help="whose key; none: everybody's who has one")] = None,
    as_json: AsJson = False,
) -> None:
    """Replace the key of a participant: its subjects' keys are wrapped anew, in batches, and the old one is deleted."""
    output.answer(as_json, context.act(lambda hub: _rotate_tenants(hub, participant)))


@rotate.command("index")
def index(as_json: AsJson = False) -> None:
    """Replace the root of the blind indexes, with every index: after a leak of it. Every node must be stopped."""
    output.answer(as_json, context.act(_rotate_root, writes=True))


@rotate.command("tokens")
def token_keys(as_json: AsJson = False) -> None:
    """Replace the key that signs access tokens: the new one is published at the next start and signs a day later."""
    output.answer(as_json, _replaced(TOKENS))


@rotate.command("orders")
def order_keys(as_json: AsJson = False) -> None:
    """Replace the key that signs orders: the new one is published at the next start and signs a day later."""
    output.answer(as_json, _replaced(ORDERS))


async def _listed(hub: Hub) -> list[dict[str, Any]]:
    async with hub.database.read(db.HUB) as conn:
        now = await db.now(conn)
        listed = await keys.of_vault(conn, hub.vault.masters, OPERATOR)
        folder = str(hub.settings.keys_dir)
        listed += keys.of_signing("hub.token", OPERATOR, hub.signing, now, folder)
        listed += keys.of_signing("hub.order", OPERATOR, hub.order_keys, now, folder)
        listed += await keys.of_others(conn, now)
    instants = ("created_at", "not_after")
    return [
        asdict(each) | {name: clock.written(at) for name in instants if (at := getattr(each, name)) is not None}
        for each in listed
    ]


async def _rotate_master(hub: Hub, prepare: bool) -> dict[str, Any]:
    masters = hub.vault.masters
    async with hub.database.read(db.HUB) as conn:
        in_force = await subjects.master_in_force(conn)
        listed = await keys.of_vault(conn, masters, OPERATOR)
    prepared = [each.key for each in listed if each.kind == "vault.master" and each.state == "next"]
    if prepare:
        made = prepared[-1] if prepared else masters.make()
        return {"prepared": made, "file": masters.where(made), "in_force": in_force}
    # A run that broke off goes on with the key that it had begun with.
    broken_off = [each for each in listed if each.kind == "vault.master" and each.state == "retired"]
    chosen = in_force if broken_off else prepared[-1] if prepared else masters.make()
    rewrapped = await rekeying.rotate_master(hub, context.person().actor(), chosen)
    resealed = await resealing.reseal(hub)
    return {"master": chosen, "where": masters.where(chosen), "rewrapped": rewrapped, "resealed": resealed}


async def _rotate_tenants(hub: Hub, participant: str | None) -> dict[str, Any]:
    async with hub.database.read(db.HUB) as conn:
        known = await rekeying.tenants_with_keys(conn)
    if participant is not None and participant not in known:
        raise output.fail(f"{participant} has no key of its own")
    chosen = [participant] if participant else list(known)
    actor = context.person().actor()
    count = sum([await rekeying.rotate_tenant(hub, actor, each) for each in chosen])
    return {"tenants": len(chosen), "rewrapped": count}


async def _rotate_root(hub: Hub) -> dict[str, Any]:
    try:
        return asdict(await reindexing.rotate_root(hub, context.person().actor()))
    except (reindexing.StillRunning, reindexing.OrderLost) as refused:
        raise output.fail(str(refused)) from None


def _replaced(series: Series) -> dict[str, Any]:
    chosen = context.settings()
    with context.told():
        made = signing_keys.replace_next(chosen.keys_dir, clock.utc_now(), series)
    return {"kid": made.kid, "signs_from": clock.written(made.not_before), "not_after": clock.written(made.not_after)}
