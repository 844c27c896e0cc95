"""What is told of one operation beside its route: who opens it, what its conflicts are, and advice."""

from dataclasses import dataclass

from service.security.scopes import Scope


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one operation.

    Any one of ``scopes`` opens it. ``conflicts`` are the codes of its 409, ``rules`` the authority rules of its 403.
    """

    scopes: tuple[Scope, ...] = ()
    conflicts: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    advice: str = ""
