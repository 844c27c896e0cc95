"""Police units as agencies: three tiers since July 2025, named after the administrative units they serve."""

from collections.abc import Iterator

from service.directory import files, rows
from workflows import terms

_MINISTRY = "bo-cong-an"

# Both departments exist in each province and city since the reform of 2025; to be confirmed by the operator.
_DEPARTMENTS = (
    (
        "pa05",
        "Phòng An ninh mạng và phòng, chống tội phạm sử dụng công nghệ cao",
        "Cyber Security and High-Tech Crime Prevention Division",
    ),
    ("pc02", "Phòng Cảnh sát hình sự", "Criminal Police Division"),
)


def units() -> Iterator[rows.UnitRow]:
    """The 34 provinces and 3,321 wards, communes and special zones; each province stands before its own wards."""
    for row in files.table("units.csv"):
        yield rows.UnitRow(**row)


def agencies() -> Iterator[rows.ParticipantRow]:
    """The police of each unit: of a province with its PA05 and PC02, of a ward below its province.

    Ids follow the unit's code: ``ca-tinh-79``, ``pa05-79``, ``pc02-79``, ``ca-xa-00004``. All are to be confirmed.
    The ministry and its own departments are in ``participants.csv``.
    """
    for unit in units():
        if unit.code == unit.province_code:
            yield from _of_province(unit)
        else:
            yield _agency(
                f"ca-xa-{unit.code}",
                f"Công an {_in_sentence(unit.name_vi)}",
                f"{unit.name_en} Police",
                unit,
                level="ward",
                parent_id=f"ca-tinh-{unit.province_code}",
            )


def _of_province(unit: rows.UnitRow) -> Iterator[rows.ParticipantRow]:
    own_id = f"ca-tinh-{unit.code}"
    name_vi, name_en = f"Công an {_in_sentence(unit.name_vi)}", f"{unit.name_en} Police"
    yield _agency(own_id, name_vi, name_en, unit, level="province", parent_id=_MINISTRY)
    for slug, department_vi, department_en in _DEPARTMENTS:
        yield _agency(
            f"{slug}-{unit.code}",
            f"{department_vi}, {name_vi}",
            f"{department_en}, {name_en}",
            unit,
            level="province",
            parent_id=own_id,
            short_name=f"{slug.upper()} {name_vi}",
        )


def _agency(
    id: str,
    name_vi: str,
    name_en: str,
    unit: rows.UnitRow,
    *,
    level: str,
    parent_id: str,
    short_name: str | None = None,
) -> rows.ParticipantRow:
    return rows.ParticipantRow(
        id=id,
        sector=terms.Sector.AGENCY,
        name_vi=name_vi,
        name_en=name_en,
        short_name=short_name or name_vi.replace("Công an", "CA", 1),
        supervisor_id=None,
        level=level,
        province_code=unit.province_code,
        parent_id=parent_id,
        to_be_confirmed=True,
    )


def _in_sentence(name_vi: str) -> str:
    """ "Thành phố Hà Nội" inside a name is "thành phố Hà Nội"."""
    return name_vi[0].lower() + name_vi[1:]
