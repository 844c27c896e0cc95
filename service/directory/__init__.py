"""The shipped directory: participants, their aliases, administrative units and the calendar, read from data files.

No database here: an action loads these rows. Origins and licences of the data are in NOTICE at the root.
"""

from collections.abc import Iterator
from datetime import date

from service.directory import banks, files, members, police
from service.directory.members import supervisors_by_sector
from service.directory.police import units
from service.directory.rows import AliasRow, ParticipantRow, UnitRow

__all__ = [
    "AliasRow",
    "ParticipantRow",
    "UnitRow",
    "aliases",
    "calendar_range",
    "holidays",
    "participants",
    "scam_hosts_sample",
    "supervisors_by_sector",
    "units",
    "workdays",
]


def participants() -> Iterator[ParticipantRow]:
    """All shipped participants; a parent and a supervisor always stand before the rows that name them."""
    yield from members.participants()
    yield from banks.participants()
    yield from police.agencies()


def aliases() -> Iterator[AliasRow]:
    """Every identifier of the participants that can receive an order; no (participant, scheme, value) comes twice."""
    seen = set()
    for source in (banks.aliases(), members.aliases()):
        for row in source:
            key = (row.participant_id, row.scheme, row.value)
            if key not in seen:
                seen.add(key)
                yield row


def holidays() -> set[date]:
    """The public holidays, days off in lieu included, of every year in ``calendar_range``."""
    return {date.fromisoformat(row["date"]) for row in files.table("holidays.csv")}


def workdays() -> set[date]:
    """The make-up working days that fall on a weekend; some lie before ``calendar_range``."""
    return {date.fromisoformat(row["date"]) for row in files.table("workdays.csv")}


def calendar_range() -> tuple[date, date]:
    """The first and the last day for which the holidays are known (whole years): beyond, no working day is counted."""
    years = {holiday.year for holiday in holidays()}
    return date(min(years), 1, 1), date(max(years), 12, 31)


def scam_hosts_sample() -> list[str]:
    """200 live malicious host names for demonstrations: text only, never resolve them, never render them as links."""
    return files.lines("scam_hosts_sample.txt")
