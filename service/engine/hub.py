"""What every action needs, wired once by the application: settings, database, vault, writer and this node's name."""

from dataclasses import dataclass

from service.db import Database
from service.engine.writer import Writer
from service.queries.registry import Registry
from service.security.keyring import SigningKey
from service.settings import Settings
from service.vault import Vault
from workflows.terms import Actor, ActorKind

# The participant that the operator of this hub is in its own directory.
OPERATOR = "hoatoc-hub"


@dataclass(frozen=True, slots=True)
class Hub:
    """One node's means; it has no state of its own."""

    settings: Settings
    database: Database
    vault: Vault
    writer: Writer
    registry: Registry
    # What signs access tokens: the current key and the next one, both published.
    signing: tuple[SigningKey, ...]
    # What signs orders and lifts, beside each webhook's own secret: the current key and the next one.
    order_keys: tuple[SigningKey, ...]

    @property
    def actor(self) -> Actor:
        """The hub itself, for the facts that no person and no client caused."""
        return Actor(ActorKind.HUB, self.settings.node, OPERATOR)
