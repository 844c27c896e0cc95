"""Who plays in the scene: real institutions of the shipped directory, made-up accounts, numbers and people."""

from dataclasses import dataclass

from adapters.sandbox.behaviour import Behaviour, Partial, Ported, Prompt, Refusing, Silent
from service import directory
from service.engine.hub import OPERATOR
from workflows.terms import RefusalCode, Role, Sector

AGENCY = "pc02-79"
POLICE_CLIENT = "pc02-79-system"
COORDINATOR = "truc-ban"
APPROVER_CLIENT = "quan-tri-2"
SUPERVISORS = ("sbv", "vnta")

# Accounts and numbers are made up: they lie in real ranges and belong to nobody that we know.
ACCOUNT_A, ACCOUNT_B, ACCOUNT_C, WALLET = "9990000012345", "9990000058890", "9990000024680", "+84900000003"
PORTED_PHONE = "+84980000007"
AMOUNT = 150_000_000


@dataclass(frozen=True, slots=True)
class Player:
    """One sandbox participant and how it behaves."""

    id: str
    sector: Sector
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class Person:
    """An officer of the scene; the names are made up."""

    id: str
    name: str
    rank: str
    number: str
    powers: tuple[str, ...]


def scam_hosts() -> list[str]:
    """A hundred names of the shipped sample; they are text, never resolved and never shown as links."""
    return directory.scam_hosts_sample()[:100]


def players() -> tuple[Player, ...]:
    """The seven sandbox participants: three banks, a wallet, two telecoms and an ISP."""
    refused = frozenset({scam_hosts()[41]})
    return (
        Player("vietcombank", Sector.BANK, Prompt()),
        Player("techcombank", Sector.BANK, Partial(first=60_000_000, more=AMOUNT, after=2.0)),
        Player("bidv", Sector.BANK, Silent()),
        Player("momo", Sector.WALLET, Prompt()),
        Player("viettel", Sector.TELECOM, Ported("vinaphone", frozenset({PORTED_PHONE}))),
        Player("vinaphone", Sector.TELECOM, Prompt()),
        Player("fpt-isp", Sector.ISP, Refusing(RefusalCode.TARGET_LEGITIMATE, refused)),
    )


# Duty desks that only listen: whom the ladder calls.
DESKS: tuple[tuple[str, Sector], ...] = (
    ("bidv", Sector.BANK),
    (OPERATOR, Sector.HUB),
    ("sbv", Sector.SUPERVISOR),
)

OFFICERS = (
    Person("nguyen-van-an", "Nguyễn Văn An", "dai_uy", "079-1201", ("order", "emergency")),
    Person("tran-thi-binh", "Trần Thị Bình", "trung_ta", "079-0417", ("order", "approve")),
    Person("le-van-cuong", "Lê Văn Cường", "thieu_uy", "079-3377", ("order",)),
)

POLICE_ROLES = (Role.MAKER, Role.APPROVER, Role.READER)
