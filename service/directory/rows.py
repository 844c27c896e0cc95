"""The shapes of the shipped directory: frozen rows, as they stand before any database knows them."""

from dataclasses import dataclass
from datetime import date

from workflows import terms


@dataclass(frozen=True, slots=True)
class ParticipantRow:
    """One participant as shipped.

    ``id`` is a stable lowercase slug. ``level`` (ward, province or central) and ``province_code`` belong to agencies.
    ``to_be_confirmed`` marks what comes from public knowledge and not from a public data set: the operator of the hub
    confirms it before the row receives a real order.
    """

    id: str
    sector: terms.Sector
    name_vi: str
    name_en: str
    short_name: str
    supervisor_id: str | None
    level: str | None
    province_code: str | None
    parent_id: str | None
    to_be_confirmed: bool


@dataclass(frozen=True, slots=True)
class AliasRow:
    """One identifier that leads to a participant, from the first day (inclusive) to the last (inclusive); None is open.

    ``scheme``: ``bin`` (6 digits), ``swift`` (8 letters), ``name`` (folded by ``routing.fold``), ``e164_prefix``
    ("+8490"), ``mcc_mnc`` ("45204"), ``host`` ("facebook.com", with everything below it), ``tld`` ("vn").
    """

    participant_id: str
    scheme: str
    value: str
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One administrative unit since July 2025: ``kind`` is city, province, ward, commune or special_zone.

    A unit of the first tier (city, province) carries its own code as ``province_code``.
    """

    code: str
    kind: str
    province_code: str
    name_vi: str
    name_en: str
