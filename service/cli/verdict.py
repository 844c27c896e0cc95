"""What a check of evidence found wrong, in words for whoever is no programmer; the codes stand behind them."""

from service.security.evidence import Check

_NAMES = {
    "action": "the measure",
    "agency": "the agency",
    "amount": "the amount",
    "amount_held": "the amount held",
    "answers": "the answers",
    "appeals": "the appeals",
    "case_number": "the case number",
    "document": "the paper",
    "ends_at": "the end",
    "legal_basis": "the legal basis",
    "officer": "the officer",
    "officer_id": "the officer",
    "officers": "the officers",
    "order_id": "the order",
    "orders": "the orders",
    "original": "the original request",
    "outcome": "the outcome",
    "participant": "the participant",
    "participant_id": "the participant",
    "reference": "the reference",
    "request_id": "the request",
    "starts_at": "the beginning",
    "target": "the target",
    "urgency": "the urgency",
    "whole_account": "the whole account",
}
_SENTENCES = {
    "about": "the signature is about something else",
    "another_key": "both officers signed with one key",
    "another_officer": "the first officer decided in his own matter",
    "at_most_one": "there is more than one, where one counts",
    "audience": "it was signed for another hub",
    "body_named": "the chain of facts was made for a text other than the one in this file",
    "fact": "the chain of facts does not begin with the filing",
    "facts": "the chain of facts has another number of them than the file",
    "in_order": "the chain of facts tells it after what followed from it",
    "instant": "it was signed at another time than the file says",
    "invalid": "the signature is not over this text, or not by this key",
    "key_expired": "the key was not valid then",
    "key_revoked": "the key had been revoked by then",
    "key_unknown": "the file holds no key of this person or system with which it was signed",
    "kids": "the keys in the file are not exactly those whose signatures hold: one too many, or one that fails",
    "malformed": "it is not the form of a signature",
    "missing": "there is no signature",
    "sent": "the chain of facts tells of a message that is not in the file",
    "sequence": "a message is missing, or stands in another order",
    "unknown owner": "your list does not say whose key this is",
    "not in the list": "your list does not have this key",
}


def why(check: Check) -> str:
    """Return what is wrong with a check, followed by its codes in brackets; `""` where nothing is."""
    if not check.wrong:
        return ""
    told = [_told(code, check.name) for code in check.wrong.split(", ")]
    if told == [check.wrong]:
        return check.wrong
    return f"{'; '.join(told)} ({check.wrong})"


def _told(code: str, name: str) -> str:
    if code in _SENTENCES:
        return _SENTENCES[code]
    if name == "keys.elsewhere":
        return f"your list says something else of this key: {code}"
    if code in _NAMES:
        return f"{_NAMES[code]}: not what was signed or recorded"
    return code
