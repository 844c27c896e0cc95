"""The hub's own people: they suspend participants and resume them, and have sent once more what was sent before."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import registry_forms as forms
from sim_people import BANKS, PHONES

from service.actions import replay_dispatches, resume, suspend
from service.engine.hub import OPERATOR, Hub
from service.schemas.registry import SuspendedKind
from service.schemas.replays import ReplaySelection
from service.security import principals
from workflows.replay import Replayed
from workflows.terms import Role, Sector

if TYPE_CHECKING:
    from sim_world import Simulation

COORDINATOR = principals.of_person("lan", tenant=OPERATOR, sector=Sector.HUB, roles=[Role.COORDINATOR])
# Beyond any step of the database's clock: what is sent once more was made before this instant on each of them.
_SINCE_THEN = timedelta(minutes=2)


class Office:
    """Acts at instants that the seed decides."""

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        # Its own, so that what else a seed draws stays the same.
        self._chance = random.Random(f"office {simulation.seed}")
        self._suspended: set[str] = set()
        self.happened: dict[str, int] = {}

    def plan(self, seconds: float, busy: list[float]) -> None:
        """Plan what is done in the first so many seconds, most of it soon after the instants at which much happens."""
        for act, after in ((self._suspend, (1, 60, 1500)), (self._send_again, (400, 1500, 9000))):
            for _ in range(self._chance.choice((0, 0, 1, 2))):
                soon = self._chance.choice(busy) + self._chance.choice(after) * self._chance.random()
                at = soon if self._chance.random() < 0.7 else self._chance.uniform(1, seconds)
                self.simulation.people.later(at, act)

    async def over(self) -> None:
        """Let everybody take part again: of a call that nobody heard an answer to, the effect may come late."""
        for who in sorted(self._suspended):
            await self._call("resume", resume.resume, who)

    async def _suspend(self) -> None:
        who = self._chance.choice(sorted({*BANKS, *PHONES}))
        self._suspended.add(who)
        self._count("suspensions")
        await self._call("suspend", suspend.suspend, who)
        self.simulation.tell("suspended", who=who)
        await asyncio.sleep(self._chance.choice((30, 600, 9000)) * self._chance.random())
        await self._call("resume", resume.resume, who)
        self.simulation.tell("resumed", who=who)

    async def _call(self, what: str, verb: Callable[..., Coroutine[Any, Any, Any]], who: str) -> None:
        body = forms.stop(SuspendedKind.PARTICIPANT, who)
        await self.simulation.people.call(what, lambda: lambda hub: verb(hub, forms.ADMIN, who, body))

    async def _send_again(self) -> None:
        until = self.simulation.clocks.database() - _SINCE_THEN
        chosen = {"since": (until - timedelta(hours=6)).isoformat()}
        if self._chance.random() < 0.3:
            chosen = {"participant_id": self._chance.choice(sorted({*BANKS, *PHONES}))}
        which = self._chance.choice((Replayed.DELIVERED, Replayed.DELIVERED, Replayed.DEAD))
        selection = ReplaySelection.model_validate({"which": which, "until": until.isoformat(), **chosen})

        async def run(hub: Hub) -> Any:
            return await replay_dispatches.run(hub, COORDINATOR, selection)

        more = True
        while more:
            answer = await self.simulation.people.call("replay", lambda: run)
            self._count("replays", answer.count)
            self.simulation.tell("replayed", count=answer.count)
            more = answer.more

    def _count(self, what: str, more: int = 1) -> None:
        self.happened[what] = self.happened.get(what, 0) + more
