"""What each of these pages needs first: the officer's draft, what the registry knows, and the answers as a body."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse

from service.actions import keep_draft
from service.console import rendering
from service.console.filing import body, steps, targets
from service.console.filing.steps import Step
from service.console.filing.targets import Fits
from service.console.filing.wrong import Wrong
from service.engine.hub import Hub
from service.queries import approvals, drafts
from service.queries.approvals import Signer
from service.queries.drafts import Begun
from service.queries.registry import Known
from service.queries.sessions import Seat
from service.security.scopes import Scope
from workflows.terms import Action

# A change link of the page on which all is checked leads back there.
RETURN = "check"


@dataclass(frozen=True, slots=True)
class Desk:
    """A person's draft as it lies on the table: ``action`` is None before it was chosen, ``signer`` for no officer."""

    seat: Seat
    lang: str
    known: Known
    begun: Begun | None
    signer: Signer | None
    answers: Mapping[str, str] = field(repr=False)
    fits: Fits = field(repr=False)

    @property
    def action(self) -> Action | None:
        """What is asked for."""
        return steps.action_of(self.answers)

    @property
    def day(self) -> date:
        """Today in Vietnam."""
        return body.today(self.seat.now)

    def body(self) -> dict[str, Any]:
        """Return the answers as the body that would be filed."""
        return body.build(self.answers, self.seat.principal.client_id)


async def lay(conn: AsyncConnection, request: Request, hub: Hub, seat: Seat) -> Desk:
    """Read what lies on a person's desk; refuse who may not file."""
    seat.principal.require(Scope.REQUESTS_WRITE)
    known = await hub.registry.known(conn)
    begun = await drafts.find(conn, hub.vault, seat.principal, seat.now)
    signer = await approvals.signer(conn, seat.principal, seat.now)
    answers = begun.answers if begun else {}
    fits = targets.read(answers, known, body.today(seat.now))
    return Desk(seat, rendering.language(request), known, begun, signer, answers, fits)


async def begin(
    hub: Hub, seat: Seat, table: Desk, about: Mapping[str, str], known: Mapping[str, str], first: Step
) -> Response:
    """Begin a draft ``about`` this with what is ``known``, or go on with it, at its first question.

    A draft of something else is left, and has to be ended first: the page of the beginning says so.
    """
    if table.begun and any(table.answers.get(name) != value for name, value in about.items()):
        return RedirectResponse(f"{steps.PATH}?waits=1", 303)
    if table.begun is None:
        await keep_draft.save(hub, seat.principal, lambda _: {**known, **about})
    return RedirectResponse(f"{steps.PATH}/{first}", 303)


def page(
    request: Request,
    desk: Desk,
    step: Step,
    *,
    wrong: list[Wrong] | None = None,
    status: int = 200,
    **context: Any,
) -> Response:
    """Render one question; ``wrong`` is what the summary at its top leads to."""
    asked = [each for each in steps.order(desk.action) if each is not Step.FOUND or desk.fits.targets]
    found = bool(desk.fits.targets)
    returns = request.query_params.get(RETURN) == "1"
    back = Step.CHECK if returns and step is not Step.CHECK else steps.before(step, desk.action, found=found)
    named = {} if returns is False else {RETURN: "1"}
    return rendering.page(
        request,
        f"filing/{step}.html",
        status=status,
        keeps=(RETURN,),
        step=step,
        action=desk.action,
        answers=desk.answers,
        number=asked.index(step) + 1 if step in asked else 0,
        count=len(asked),
        back=f"{steps.PATH}/{back}" if back else steps.PATH,
        posts_to=f"{steps.PATH}/{step}" + (f"?{RETURN}=1" if named else ""),
        returns=returns,
        wrong=wrong or [],
        wrong_of={each.field: each.text for each in reversed(wrong or [])},
        kept_until=desk.begun.kept_until if desk.begun else None,
        now=desk.seat.now,
        **context,
    )
