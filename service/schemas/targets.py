"""What a request can be about, one shape a kind, each value checked and brought to its canonical form."""

from typing import Annotated, Literal

import idna
import phonenumbers
import tldextract
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError, Url

from service.schemas.common import Name, Sha256, Shape
from workflows.terms import TargetKind

LONGEST_URL = 2048
# Both arguments keep it from looking anything up on the network.
_suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def canonical_host(value: str) -> str:
    """Return a host name as lower-case A-labels; refuse what is malformed, an address, or a whole public suffix.

    A homograph is a legitimate target (it is what scammers register), so scripts are not judged: the name is kept
    and shown as A-labels. What is refused is a label that does not survive IDNA 2008 decoding and encoding.
    """
    try:
        ascii_name = idna.encode(value.lower().rstrip("."), strict=True, std3_rules=True).decode()
        idna.decode(ascii_name, strict=True, std3_rules=True)
    except (idna.IDNAError, UnicodeError):
        raise PydanticCustomError("target.domain", "not a host name that IDNA 2008 allows") from None
    parts = _suffixes(ascii_name)
    if not parts.suffix or ascii_name.rsplit(".", 1)[-1].isdigit():
        raise PydanticCustomError("target.domain", "not a host name under a known top-level domain")
    if not parts.domain:
        raise PydanticCustomError("target.public_suffix", "a public suffix: blocking it would take down strangers")
    return ascii_name


def _e164(value: str) -> str:
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        raise PydanticCustomError("target.e164", "not a number in E.164 form") from None
    if not phonenumbers.is_possible_number(number) or number.italian_leading_zero:
        raise PydanticCustomError("target.e164", "not a number in E.164 form")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _email(value: str) -> str:
    local, _, host = value.rpartition("@")
    return f"{local}@{canonical_host(host)}"


def _url(value: str) -> str:
    try:
        url = Url(value)
    except ValueError:
        raise PydanticCustomError("target.url", "not an absolute http or https address") from None
    if url.scheme not in {"http", "https"} or url.username or url.password or not url.host:
        raise PydanticCustomError("target.url", "not an absolute http or https address without credentials")
    canonical_host(url.host)
    # What is percent-encoded grows: a message must stay small enough to be delivered.
    if len(str(url)) > LONGEST_URL:
        raise PydanticCustomError("field.too_long", "too long", {"max": LONGEST_URL})
    return str(url)


def _card(value: str) -> str:
    digits = [int(digit) for digit in reversed(value)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    if (sum(digits[0::2]) + sum(doubled)) % 10:
        raise PydanticCustomError("target.card", "the card number's check digit is wrong (ISO/IEC 7812-1, Luhn)")
    return value


Institution = Annotated[str, StringConstraints(strict=True, min_length=2, max_length=64, pattern=r"^[\w][\w .&()-]*$")]
E164 = Annotated[str, StringConstraints(strict=True, pattern=r"^\+[1-9][0-9]{6,14}$"), AfterValidator(_e164)]


class AccountTarget(Shape):
    """A bank account: its number, the bank (BIN, SWIFT or short name) and the holder's name for matching."""

    kind: Literal[TargetKind.ACCOUNT]
    value: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9A-Z]{4,34}$")]
    institution: Institution
    holder_name: Name


class WalletTarget(Shape):
    """An e-wallet: its number (often a phone number) and the institution that runs it."""

    kind: Literal[TargetKind.WALLET]
    value: Annotated[str, StringConstraints(strict=True, pattern=r"^\+?[0-9A-Za-z._-]{4,64}$")]
    institution: Institution
    holder_name: Name


class CardTarget(Shape):
    """A payment card: its number, whose first digits (BIN) name the issuer unless ``institution`` does."""

    kind: Literal[TargetKind.CARD]
    value: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{13,19}$"), AfterValidator(_card)]
    institution: Institution | None = None
    holder_name: Name


class PhoneTarget(Shape):
    """A telephone number in E.164 form."""

    kind: Literal[TargetKind.PHONE]
    value: E164


class SmsSenderTarget(Shape):
    """A sender name on text messages: at most 11 letters and digits (3GPP TS 23.040)."""

    kind: Literal[TargetKind.SMS_SENDER]
    value: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9A-Za-z _.-]{2,11}$")]


class SocialAccountTarget(Shape):
    """An account on a social network or messenger."""

    kind: Literal[TargetKind.SOCIAL_ACCOUNT]
    platform: Institution
    value: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256, pattern=r"^\S+$")]


class EmailTarget(Shape):
    """A mailbox."""

    kind: Literal[TargetKind.EMAIL]
    value: Annotated[
        str, StringConstraints(strict=True, max_length=254, pattern=r"^[^\s@]{1,64}@[^\s@]+$"), AfterValidator(_email)
    ]


class DomainTarget(Shape):
    """A domain or host name."""

    kind: Literal[TargetKind.DOMAIN]
    value: Annotated[str, StringConstraints(strict=True, min_length=4, max_length=253), AfterValidator(canonical_host)]


class UrlTarget(Shape):
    """One web address."""

    kind: Literal[TargetKind.URL]
    value: Annotated[str, StringConstraints(strict=True, min_length=10, max_length=LONGEST_URL), AfterValidator(_url)]


class ContentTarget(Shape):
    """A piece of content by its digest, on a platform or at an address; a perceptual hash finds altered copies."""

    kind: Literal[TargetKind.CONTENT]
    value: Annotated[str, StringConstraints(strict=True, min_length=10, max_length=LONGEST_URL), AfterValidator(_url)]
    platform: Institution | None = None
    sha256: Sha256
    perceptual_hash: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{16,128}$")] | None = None
    intimate: bool = Field(default=False, strict=True, description="an intimate image: the clock is shorter")


MoneyTarget = Annotated[AccountTarget | WalletTarget | CardTarget, Field(discriminator="kind")]
RecallTarget = Annotated[AccountTarget | WalletTarget, Field(discriminator="kind")]
HolderTarget = Annotated[
    AccountTarget | WalletTarget | CardTarget | PhoneTarget | SocialAccountTarget | EmailTarget | DomainTarget,
    Field(discriminator="kind"),
]
TakedownTarget = Annotated[
    PhoneTarget | SmsSenderTarget | SocialAccountTarget | EmailTarget | DomainTarget | UrlTarget | ContentTarget,
    Field(discriminator="kind"),
]
AnyTarget = Annotated[
    AccountTarget
    | WalletTarget
    | CardTarget
    | PhoneTarget
    | SmsSenderTarget
    | SocialAccountTarget
    | EmailTarget
    | DomainTarget
    | UrlTarget
    | ContentTarget,
    Field(discriminator="kind"),
]
