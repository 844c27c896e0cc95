"""Everybody whom no public list gave us: the rows of ``participants.csv``, their names, hosts and numbering."""

from collections.abc import Iterator

from service.directory import files, rows
from workflows import routing, terms

# Never the answer to "who holds this target?": they get no name alias, so that no order is addressed to them by a slip
# (and thousands of communes share their names).
_NEVER_A_RECIPIENT = frozenset({terms.Sector.AGENCY, terms.Sector.SUPERVISOR, terms.Sector.HUB})


def supervisors_by_sector() -> dict[terms.Sector, str]:
    """The supervisor's participant id for each sector that has one."""
    return {terms.Sector(row["sector"]): row["supervisor_id"] for row in files.table("supervision.csv")}


def participants() -> Iterator[rows.ParticipantRow]:
    """The rows of ``participants.csv``, each to be confirmed by the operator; a parent stands before its children."""
    supervisors = supervisors_by_sector()
    for row in files.table("participants.csv"):
        sector = terms.Sector(row["sector"])
        yield rows.ParticipantRow(
            id=row["id"],
            sector=sector,
            name_vi=row["name_vi"],
            name_en=row["name_en"],
            short_name=row["short_name"],
            supervisor_id=supervisors.get(sector),
            level=row["level"] or None,
            province_code=None,
            parent_id=row["parent_id"] or None,
            to_be_confirmed=True,
        )


def aliases() -> Iterator[rows.AliasRow]:
    """Names of those that can receive an order, everything in ``aliases.csv``, then number ranges and network codes.

    KeyError when a range or a network in operation belongs to an operator that has no such name here.
    """
    telecoms = {member.id for member in participants() if member.sector is terms.Sector.TELECOM}
    telecom_by_name: dict[str, str] = {}
    for row in _written_aliases():
        if row.scheme == "name" and row.participant_id in telecoms:
            telecom_by_name[row.value] = row.participant_id
        yield row
    for prefix in files.table("carrier_prefixes.csv"):
        yield rows.AliasRow(telecom_by_name[routing.fold(prefix["operator"])], "e164_prefix", prefix["e164_prefix"])
    for network in files.table("mcc_mnc.csv"):
        if network["status"] == "Operational":
            telecom = telecom_by_name[routing.fold(network["brand"])]
            yield rows.AliasRow(telecom, "mcc_mnc", network["mcc"] + network["mnc"])


def _written_aliases() -> Iterator[rows.AliasRow]:
    for member in participants():
        if member.sector not in _NEVER_A_RECIPIENT:
            for name in (member.id, member.short_name, member.name_vi):
                yield rows.AliasRow(member.id, "name", routing.fold(name))
    for row in files.table("aliases.csv"):
        value = routing.fold(row["value"]) if row["scheme"] == "name" else row["value"]
        valid_from, valid_to = files.day(row["valid_from"]), files.day(row["valid_to"])
        yield rows.AliasRow(row["participant_id"], row["scheme"], value, valid_from, valid_to)
