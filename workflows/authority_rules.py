"""Who may order what on which legal basis: dated rules as data, each of them still to be confirmed by a lawyer."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from workflows import disclose, freeze, preserve, takedown, trace
from workflows.terms import Action, LegalBasis, TargetKind, Urgency


class Rank(StrEnum):
    """The officers' ranks of the people's police, lowest first (Law 37/2018/QH14 on the People's Public Security)."""

    THIEU_UY = "thieu_uy"
    TRUNG_UY = "trung_uy"
    THUONG_UY = "thuong_uy"
    DAI_UY = "dai_uy"
    THIEU_TA = "thieu_ta"
    TRUNG_TA = "trung_ta"
    THUONG_TA = "thuong_ta"
    DAI_TA = "dai_ta"
    THIEU_TUONG = "thieu_tuong"
    TRUNG_TUONG = "trung_tuong"
    THUONG_TUONG = "thuong_tuong"
    DAI_TUONG = "dai_tuong"


# So many holds may an officer order alone, one after the other, before a second one has looked at any of them.
MOST_UNREVIEWED = 2

RANK_ORDER: dict[Rank, int] = {rank: place for place, rank in enumerate(Rank)}


class Power(StrEnum):
    """What an officer has been entrusted with, besides the rank."""

    ORDER = "order"
    APPROVE = "approve"
    EMERGENCY = "emergency"


class AgencyLevel(StrEnum):
    """The tiers of the police since July 2025: there are no districts."""

    WARD = "ward"
    PROVINCE = "province"
    CENTRAL = "central"


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """A length in working days: the first day is not counted, the last one ends at 24:00 Vietnam time."""

    count: int


@dataclass(frozen=True, slots=True)
class Tier:
    """What an officer of at least ``rank`` may hold: up to ``amount_cap`` ₫ (None = no cap), a whole account or not."""

    rank: Rank
    amount_cap: int | None
    whole_account: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityRule:
    """One dated rule; ``tiers`` rise in rank, ``valid_to`` is the last day (None = open), money is whole ₫.

    ``longest`` bounds a hold with all its extensions, counted from its first start. ``review_within`` makes the rule
    one for a single officer: the freeze must be reviewed by a second one in time or it is lifted.
    """

    basis: LegalBasis
    source: str
    valid_from: date
    valid_to: date | None
    actions: frozenset[Action]
    target_kinds: frozenset[TargetKind]
    agency_levels: frozenset[AgencyLevel]
    own_province_only: bool
    power: Power
    urgency: Urgency | None
    tiers: tuple[Tier, ...]
    approver_rank: Rank
    longest: timedelta | WorkingDays
    review_within: timedelta | None = None
    to_be_confirmed: bool = True


_HOLDS = frozenset({Action.FREEZE, Action.LIFT, Action.EXTEND})
_INVESTIGATORS = frozenset({AgencyLevel.PROVINCE, AgencyLevel.CENTRAL})

# The instruments, their articles and their dates are published law. Ranks, caps, territories and lengths without a
# number in the law are assumed: no text settles which of them lets a ward desk stop money within minutes.
RULES: tuple[AuthorityRule, ...] = (
    AuthorityRule(
        basis=LegalBasis.AML_POSTPONEMENT,
        source="Law 14/2022/QH15 on anti-money laundering, article 44: at most three working days",
        valid_from=date(2023, 3, 1),
        valid_to=None,
        actions=frozenset({Action.FREEZE, Action.LIFT}),
        target_kinds=freeze.TARGETS,
        agency_levels=_INVESTIGATORS,
        own_province_only=False,
        power=Power.ORDER,
        urgency=None,
        tiers=(Tier(Rank.THIEU_TA, None, whole_account=False),),  # transactions are postponed, not accounts
        approver_rank=Rank.THIEU_TA,
        longest=WorkingDays(3),
    ),
    AuthorityRule(
        basis=LegalBasis.CPC_129,
        source="Criminal Procedure Code 101/2015/QH13, article 129: heads of investigating bodies, amount-bound",
        valid_from=date(2018, 1, 1),
        valid_to=None,
        actions=_HOLDS | {Action.PRESERVE, Action.RECALL},
        target_kinds=preserve.TARGETS,
        agency_levels=_INVESTIGATORS,
        own_province_only=False,
        power=Power.ORDER,
        urgency=None,
        tiers=(Tier(Rank.TRUNG_TA, None, whole_account=False),),
        approver_rank=Rank.TRUNG_TA,
        # Six months; 180 days are never longer than six calendar months.
        longest=timedelta(days=180),
    ),
    AuthorityRule(
        basis=LegalBasis.CPC_88,
        source="Criminal Procedure Code 101/2015/QH13, article 88: whoever has data provides them; on customers of"
        " banks Decree 117/2018/NĐ-CP",
        valid_from=date(2018, 1, 1),
        valid_to=None,
        actions=frozenset({Action.DISCLOSE, Action.TRACE}),
        target_kinds=disclose.TARGETS | trace.TARGETS,
        agency_levels=_INVESTIGATORS,
        own_province_only=False,
        power=Power.ORDER,
        urgency=None,
        tiers=(Tier(Rank.THIEU_TA, None, whole_account=False),),
        approver_rank=Rank.THIEU_TA,
        longest=disclose.OPEN_FOR,
    ),
    AuthorityRule(
        basis=LegalBasis.DECREE_52_11,
        source="Decree 52/2024/NĐ-CP on non-cash payment, article 11: partial or full, on a written request",
        valid_from=date(2024, 7, 1),
        valid_to=None,
        actions=_HOLDS | {Action.PRESERVE, Action.RECALL},
        target_kinds=freeze.TARGETS,
        agency_levels=frozenset(AgencyLevel),
        own_province_only=True,
        power=Power.ORDER,
        urgency=None,
        tiers=(
            Tier(Rank.DAI_UY, 2_000_000_000, whole_account=False),
            Tier(Rank.THIEU_TA, 20_000_000_000, whole_account=True),
            Tier(Rank.THUONG_TA, None, whole_account=True),
        ),
        approver_rank=Rank.DAI_UY,
        longest=timedelta(days=30),  # the field's ceiling without a court (Singapore, Philippines)
    ),
    AuthorityRule(
        basis=LegalBasis.EMERGENCY,
        source="the hub's own emergency profile: one officer, short, amount-capped, reviewed in time or lifted",
        valid_from=date(2024, 7, 1),
        valid_to=None,
        actions=frozenset({Action.FREEZE, Action.LIFT}),
        target_kinds=freeze.TARGETS,
        agency_levels=frozenset(AgencyLevel),
        own_province_only=True,
        power=Power.EMERGENCY,
        urgency=Urgency.HOA_TOC,
        tiers=(Tier(Rank.TRUNG_UY, 500_000_000, whole_account=False),),
        approver_rank=Rank.DAI_UY,
        longest=timedelta(hours=24),
        review_within=timedelta(hours=2),
    ),
    AuthorityRule(
        basis=LegalBasis.DECREE_147,
        source="Decree 147/2024/NĐ-CP on internet services; for numbers and sender names Law 24/2023/QH15",
        valid_from=date(2024, 12, 25),
        valid_to=None,
        # Services on the net give their users' data to the authority that asks in writing, within 24 h.
        actions=frozenset({Action.TAKEDOWN, Action.PRESERVE, Action.LIFT, Action.DISCLOSE}),
        target_kinds=takedown.TARGETS,
        agency_levels=frozenset(AgencyLevel),
        own_province_only=False,  # a page or a number is nowhere in particular
        power=Power.ORDER,
        urgency=None,
        tiers=(Tier(Rank.DAI_UY, None, whole_account=False),),
        approver_rank=Rank.DAI_UY,
        longest=preserve.LONGEST,
    ),
)
