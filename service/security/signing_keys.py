"""The hub's own signing keys, for tokens and for orders: one in force, one published ahead, renewed by an old start."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from service.security import keyfile
from service.security.keyring import SigningKey


@dataclass(frozen=True, slots=True)
class Series:
    """Keys of one use: they live for ``life``, and for ``overlap`` before its end the next one is good as well.

    In that time a start moves the next key up, and nodes that start later or not at all agree.
    """

    name: str
    life: timedelta
    overlap: timedelta


# A token-signing key lives 90 days (PROMISES T16); what signs orders lives a year at most, and its successor is known
# to participants for a month before it signs.
TOKENS = Series("token", timedelta(days=90), timedelta(days=7))
ORDERS = Series("order", timedelta(days=365), timedelta(days=30))


# The next key signs as soon as it is good; the files move up a day later, when no token of the key before is alive: a
# start that finds the files moved knows that key no more.
_AT_REST = timedelta(days=1)


def load(folder: Path, now: datetime, series: Series = TOKENS) -> tuple[SigningKey, ...]:
    """Return the current and the next key; make what is missing, and move up when the current one is about to end.

    Nodes that start at once on one folder agree: a file is put in place whole, and the first one wins.
    """
    first, second = (folder / f"{series.name}-{which}.jwk" for which in ("current", "next"))
    current = _kept(first, now, series)
    following = _kept(second, current.not_after - series.overlap, series)
    if now < current.not_after - series.overlap + _AT_REST:
        return current, following
    if following.not_after - now < series.overlap:
        # The hub was off for months: nothing that is kept is of use.
        second.unlink(missing_ok=True)
        following = _kept(second, now, series)
    second.replace(first)
    fresh = _kept(second, following.not_after - series.overlap, series)
    # The one that ends soon is still published: what it signed is out there.
    return following, fresh, *([current] if current.not_after > now else [])


def replace_next(folder: Path, now: datetime, series: Series) -> SigningKey:
    """Put a fresh key in the place of the next one, to sign a day from now; every node is to be started till then.

    Until then the current key signs, and it stays published to its own end (PROMISES 8.7: an overlap of 24 hours).
    """
    load(folder, now, series)
    path, starts = folder / f"{series.name}-next.jwk", now + _AT_REST
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.unlink(missing_ok=True)
    keyfile.save(SigningKey.generate(not_before=starts, not_after=starts + series.life), made)
    made.replace(path)
    return keyfile.load(path)


def _kept(path: Path, starts: datetime, series: Series) -> SigningKey:
    if not path.exists():
        made = path.with_name(f".{path.name}.{os.getpid()}")
        made.unlink(missing_ok=True)
        keyfile.save(SigningKey.generate(not_before=starts, not_after=starts + series.life), made)
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    return keyfile.load(path)
