"""What an executed order did: which amount counts, and whether it is less than was asked for."""

from workflows.terms import Action, OrderState


def done(action: Action, held: int | None, returned: int | None) -> int | None:
    """Return the amount (minor units; None: unknown) that counts: of a recall what was sent back, else what is held."""
    return returned if action is Action.RECALL else held


def is_partly(state: OrderState, asked: int | None, done: int | None) -> bool:
    """Tell whether less was done than asked: of an executed order, and where both amounts (minor units) are known.

    Nothing done of something asked is partly done too; more than was asked is not.
    """
    return state is OrderState.EXECUTED and asked is not None and done is not None and done < asked
