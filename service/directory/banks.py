"""Banks and wallets: the public list of 62 institutions, read through our table of who answers for each of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from service.directory import files, members, rows
from workflows import routing, terms

_WALLETS = frozenset({"momo"})


@dataclass(frozen=True, slots=True)
class Institution:
    """One row of the public list with the participant that answers for it: ``relation`` is own, renamed or brand."""

    key: str
    code: str
    bin: str
    swift: str
    short_name: str
    name_vi: str
    name_en: str
    participant_id: str
    relation: str
    valid_from: date | None


def institutions() -> Iterator[Institution]:
    """All 62, in the order of the list; KeyError when one of them has no row in ``bank_identities.csv``."""
    identities = {row["key"]: row for row in files.table("bank_identities.csv")}
    for row in files.table("banks.csv"):
        identity = identities[row["key"]]
        yield Institution(
            key=row["key"],
            code=row["code"],
            bin=row["bin"],
            swift=row["swift"],
            short_name=row["short_name"],
            name_vi=row["name_vi"],
            name_en=identity["name_en"],
            participant_id=identity["participant_id"],
            relation=identity["relation"],
            valid_from=files.day(identity["valid_from"]),
        )


def participants() -> Iterator[rows.ParticipantRow]:
    """One participant per living institution of the list; dead names and digital brands are aliases only."""
    supervisors = members.supervisors_by_sector()
    for bank in institutions():
        if bank.relation == "own":
            sector = terms.Sector.WALLET if bank.key in _WALLETS else terms.Sector.BANK
            yield rows.ParticipantRow(
                id=bank.participant_id,
                sector=sector,
                name_vi=bank.name_vi,
                name_en=bank.name_en,
                short_name=bank.short_name,
                supervisor_id=supervisors[sector],
                level=None,
                province_code=None,
                parent_id=None,
                to_be_confirmed=False,
            )


def aliases() -> Iterator[rows.AliasRow]:
    """BIN, SWIFT and names of each institution, living ones first, so that an undated alias stands before a dated twin.

    The BIN and SWIFT of a dead name never belonged to anybody else and are undated; its names are the successor's only
    from the day of the new name. A SWIFT code of another country is a slip of the list and is left out.
    """
    for bank in sorted(institutions(), key=lambda institution: institution.relation != "own"):
        if bank.bin:
            yield rows.AliasRow(bank.participant_id, "bin", bank.bin)
        if bank.swift[4:6] == "VN":
            yield rows.AliasRow(bank.participant_id, "swift", bank.swift)
        for name in (bank.key, bank.code, bank.short_name, bank.name_vi):
            yield rows.AliasRow(bank.participant_id, "name", routing.fold(name), bank.valid_from)
