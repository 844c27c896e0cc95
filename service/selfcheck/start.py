"""What a start looks at: in production a grave finding stops it, whatever else is wrong is said (ADR 0032)."""

from service import clock
from service.selfcheck import build, keys, means
from service.selfcheck.check import Check, warning
from service.settings import Settings


class NotFit(Exception):
    """The hub must not start like this; ``found`` is what is grave."""

    def __init__(self, found: tuple[Check, ...]) -> None:
        super().__init__("; ".join(check.sentence("en") for check in found))
        self.found = found


def look(chosen: Settings) -> tuple[Check, ...]:
    """Return what a start has to say, without asking the database. Raises NotFit.

    In production every grave finding stops it. The demonstration, and the embedded edition for one agency's trial, are
    stopped by a demonstration that strangers can reach.
    """
    is_production = chosen.profile == "production" and not chosen.embedded
    found = (*means.before_start(chosen), *keys.look(chosen.keys_dir, clock.utc_now()))
    if not is_production:
        found = tuple(check for check in found if check.name == "listening")
    if chosen.embedded and chosen.profile == "production":
        found = (*found, warning("edition", "embedded"))
    if is_production:
        found = (*found, build.token_backend(), *build.versions())
    if stopping := tuple(check for check in found if check.grave):
        raise NotFit(stopping)
    return tuple(check for check in found if check.state != "ok" and check.name != "keys")
