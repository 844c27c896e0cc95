"""What an order is about, as RequestValues: TS 103 280 formats where it has one, else the national profile's own."""

import re
from collections.abc import Mapping
from typing import Any

from adapters.etsi import terms

# TS 103 280 defines no host name, address of a page, sender name, social account or digest of content.
FORMATS: Mapping[str, tuple[str, str]] = {
    "phone": (terms.ETSI, "InternationalE164"),
    "email": (terms.ETSI, "InternationalizedEmailAddress"),
    "domain": (terms.PROFILE_OWNER, "DomainName"),
    "url": (terms.PROFILE_OWNER, "URL"),
    "sms_sender": (terms.PROFILE_OWNER, "SenderName"),
    "social_account": (terms.PROFILE_OWNER, "SocialAccount"),
    "content": (terms.PROFILE_OWNER, "URL"),
}
PATTERNS: Mapping[str, str] = {
    "InternationalE164": r"[0-9]{1,15}",
    "InternationalizedEmailAddress": r".+@.+",
    "DomainName": r"[^\s/:@]{1,253}",
    "URL": r"[a-z][a-z0-9+.-]*://\S+",
    "SenderName": r".{1,64}",
    "SocialAccount": r"\S{1,256}",
    "ContentSHA256": r"[0-9a-f]{64}",
    "ContentPDQ": r"[0-9a-f]{16,128}",
}


class NotSpoken(ValueError):
    """The order is about something that no task of TS 103 120 can name: money, for one."""


def values(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return the RequestValues of an order's target; raises ``NotSpoken``."""
    kind, value = str(target["kind"]), str(target["value"])
    if kind not in FORMATS:
        raise NotSpoken(kind)
    if kind == "phone":
        value = value.removeprefix("+")
    found = [_value(*FORMATS[kind], value)]
    if target.get("sha256"):
        found.append(_value(terms.PROFILE_OWNER, "ContentSHA256", str(target["sha256"])))
    if target.get("perceptual_hash"):
        found.append(_value(terms.PROFILE_OWNER, "ContentPDQ", str(target["perceptual_hash"])))
    return {"task:RequestValue": found}


def _value(owner: str, name: str, value: str) -> dict[str, Any]:
    if re.fullmatch(PATTERNS[name], value, re.DOTALL) is None:
        raise NotSpoken(name)
    return {"task:FormatType": {"task:FormatOwner": owner, "task:FormatName": name}, "task:Value": value}
