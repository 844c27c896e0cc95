"""Refused tokens and links as facts, within a budget: a flood of bad ones is counted, and does not fill the audit."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from fastapi import Request
from starlette.datastructures import State

from service import log
from service.actions import record_refusal
from service.engine.hub import Hub
from service.errors import TooManyRequests
from service.web import addresses

_COUNTED_FOR = 60.0  # seconds from the first one beyond the budget to the fact

_log = log.get("hoatoc.web")

Record = Callable[[], Awaitable[None]]


class Refusals:
    """Keeps each refusal as a fact as long as its address and this node have some left; then it counts.

    Whoever goes beyond the budget of an address is told to slow down. Beyond the node's own nobody is: those are many
    addresses together, and an honest client among them must learn that its token is over.
    """

    def __init__(self, hub: Hub, state: State) -> None:
        self._hub = hub
        self._state = state
        self._counted: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._writing: set[asyncio.Task[None]] = set()

    async def keep(self, address: str, reason: str, record: Record) -> None:
        """Keep a refusal. Raises TooManyRequests where this address has had too many."""
        budgets = self._state.limits
        try:
            budgets["refusals"].take(addresses.counted_as(address))
        except TooManyRequests:
            self._count(reason)
            raise
        try:
            budgets["refusals of all"].take("")
        except TooManyRequests:
            self._count(reason)
            return
        await record()

    async def flush(self) -> None:
        """Write what was counted as one fact; what cannot be written now stays counted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        counted, self._counted = self._counted, Counter()
        if not counted:
            return
        try:
            await record_refusal.record_counted(self._hub, counted)
        except Exception as error:
            _log.error("refusals.not_kept", exc_info=error)
            for reason, times in counted.items():
                self._count(reason, times)

    def _count(self, reason: str, times: int = 1) -> None:
        self._counted[reason] += times
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_COUNTED_FOR, self._write)

    def _write(self) -> None:
        task = asyncio.get_running_loop().create_task(self.flush())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)


async def token(request: Request, hub: Hub, reason: str, client_id: str | None = None) -> None:
    """Keep a refused token or proof of this call. Raises TooManyRequests."""
    await _of(request).keep(_address(request), reason, lambda: record_refusal.record(hub, reason, client_id))


async def sign_in(request: Request, hub: Hub, reason: str, client_id: str | None = None) -> None:
    """Keep a refused sign-in link of this call. Raises TooManyRequests."""
    await _of(request).keep(_address(request), reason, lambda: record_refusal.record_sign_in(hub, reason, client_id))


def _of(request: Request) -> Refusals:
    found: Refusals = request.app.state.refusals
    return found


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
