"""Why an HI1 message or action is not carried out, as it is said in an ErrorInformation."""

from adapters.etsi.terms import Wrong


class Refused(Exception):
    """``number`` is the ErrorCode, ``reason`` a stable code, ``place`` the JSON pointer of the wrong member, or ""."""

    def __init__(self, number: Wrong, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.number = number
        self.reason = reason
        self.place = place

    @property
    def description(self) -> str:
        """The ErrorDescription: the reason and where, nothing of what was sent."""
        return f"{self.reason} {self.place}".rstrip()
