"""The hub's own token keys: one in force, one published ahead, renewed by a start that finds them old."""

import os
from datetime import datetime, timedelta
from pathlib import Path

from service.security import keyfile
from service.security.keyring import SigningKey

# A token-signing key lives 90 days (PROMISES T16); the next one is published from the first day.
LIFE = timedelta(days=90)
# For a week both keys are good: in it a start moves the next key up, and nodes that start later or not at all agree.
OVERLAP = timedelta(days=7)


def load(folder: Path, now: datetime) -> tuple[SigningKey, ...]:
    """Return the current and the next key; make what is missing, and move up when the current one ends in a week.

    Nodes that start at once on one folder agree: a file is put in place whole, and the first one wins.
    """
    current = _kept(folder / "token-current.jwk", now)
    following = _kept(folder / "token-next.jwk", current.not_after - OVERLAP)
    if current.not_after - now >= OVERLAP:
        return current, following
    if following.not_after - now < OVERLAP:
        # The hub was off for months: nothing that is kept is of use.
        (folder / "token-next.jwk").unlink(missing_ok=True)
        following = _kept(folder / "token-next.jwk", now)
    (folder / "token-next.jwk").replace(folder / "token-current.jwk")
    fresh = _kept(folder / "token-next.jwk", following.not_after - OVERLAP)
    # The one that ends soon is still published: tokens that it signed are out there.
    return following, fresh, *([current] if current.not_after > now else [])


def _kept(path: Path, starts: datetime) -> SigningKey:
    if not path.exists():
        made = path.with_name(f".{path.name}.{os.getpid()}")
        made.unlink(missing_ok=True)
        keyfile.save(SigningKey.generate(not_before=starts, not_after=starts + LIFE), made)
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return keyfile.load(path)
