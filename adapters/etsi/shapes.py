"""The members that the hub reads of what a participant sends: each one named, nothing else accepted."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from adapters.etsi import terms

_UUID = r"^[a-fA-F0-9]{8}(-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}$"
_SECONDS = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
_ZONE = r"(Z|[+-][0-9]{2}:[0-9]{2})$"

Identifier = Annotated[str, StringConstraints(pattern=_UUID)]
Short = Annotated[str, StringConstraints(max_length=255)]
Long = Annotated[str, StringConstraints(max_length=1024)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Qualified = Annotated[str, StringConstraints(pattern=_SECONDS + _ZONE)]
Microseconds = Annotated[str, StringConstraints(pattern=_SECONDS + r"\.[0-9]{6}" + _ZONE)]
Number = Annotated[int, Field(ge=0, le=2**31)]


class Shape(BaseModel):
    """What every shape is: closed, and without a guess at another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, value: Any) -> Any:
        # The standard leaves out what there is not: a null is none of its values.
        if isinstance(value, dict) and any(inner is None for inner in value.values()):
            raise PydanticCustomError("null_type", "a member is null")
        return value


class EndpointId(Shape):
    """Who sends or receives."""

    country: Country = Field(alias="CountryCode")
    name: Long = Field(alias="UniqueIdentifier")


class Version(Shape):
    """Which schemas, and whose profile of them."""

    etsi: Short = Field(alias="ETSIVersion")
    owner: Short = Field(alias="NationalProfileOwner")
    profile: Short = Field(alias="NationalProfileVersion")


class Header(Shape):
    """The head of a message."""

    sender: EndpointId = Field(alias="SenderIdentifier")
    receiver: EndpointId = Field(alias="ReceiverIdentifier")
    transaction: Identifier = Field(alias="TransactionIdentifier")
    at: Microseconds = Field(alias="Timestamp")
    version: Version = Field(alias="Version")
    workflow: Long | None = Field(default=None, alias="WorkflowIdentifier")


class Entry(Shape):
    """A value out of a dictionary."""

    owner: Short = Field(alias="common:Owner")
    name: Short = Field(alias="common:Name")
    value: Short = Field(alias="common:Value")


class Reason(Shape):
    """Why a task has its status."""

    number: Number = Field(alias="ErrorCode")
    said: Long = Field(alias="ErrorDescription")


class Associated(Shape):
    """Objects that belong to this one."""

    identifiers: list[Identifier] = Field(default=[], alias="AssociatedObject", max_length=16)


class _Object(Shape):
    kind: str = Field(alias="@xsi:type")
    identifier: Identifier = Field(alias="ObjectIdentifier")
    country: Country | None = Field(default=None, alias="CountryCode")
    owner: Short | None = Field(default=None, alias="OwnerIdentifier")
    generation: Number | None = Field(default=None, alias="Generation")
    external: Identifier | None = Field(default=None, alias="ExternalIdentifier")
    associated: Associated | None = Field(default=None, alias="AssociatedObjects")
    changed: Qualified | None = Field(default=None, alias="LastChanged")


class _Task(_Object):
    status: Entry = Field(alias="task:Status")
    reason: Reason | None = Field(default=None, alias="task:StatusReason")
    desired: Entry | None = Field(default=None, alias="task:DesiredStatus")
    provider: EndpointId | None = Field(default=None, alias="task:CSPID")


class Takedown(_Task):
    """A takedown task as its participant answers it; what it demands is not the participant's to change."""

    requester_reference: Long | None = Field(default=None, alias="task:RequesterReference")
    reference: Annotated[str, StringConstraints(max_length=64, pattern=r"^\S+$")] | None = Field(
        default=None, alias="task:CSPReference"
    )


class Disclosure(_Task):
    """A disclosure task as its participant answers it."""

    requester_reference: Long | None = Field(default=None, alias="task:Reference")


class Preservation(_Task):
    """A preservation task as its participant answers it."""

    expires: Qualified | None = Field(default=None, alias="task:PreservationExpiration")


class Reference(Shape):
    """What a delivery belongs to."""

    disclosure: Short = Field(alias="delivery:LDID")


class _Schema(Shape):
    manifest: Annotated[str, StringConstraints(pattern=f"^{terms.MANIFEST}$")] = Field(alias="delivery:ManifestID")


class _Manifest(Shape):
    schema_: _Schema = Field(alias="delivery:ExternalSchema")


class _Data(Shape):
    said: dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")],
        Annotated[str, StringConstraints(min_length=1, max_length=512)],
    ] = Field(alias="delivery:JSONData", min_length=1, max_length=32)


class Delivery(_Object):
    """Subscriber data: the coded minimum, whole, in one piece."""

    reference: Reference = Field(alias="delivery:Reference")
    delivery: Identifier | None = Field(default=None, alias="delivery:DeliveryID")
    sequence: Literal[0] | None = Field(default=None, alias="delivery:SequenceNumber")
    is_last: Literal[True] | None = Field(default=None, alias="delivery:LastSequence")
    manifest: _Manifest = Field(alias="delivery:Manifest")
    data: _Data = Field(alias="delivery:Delivery")
    status: Entry | None = Field(default=None, alias="delivery:DeliveryStatus")


class Get(Shape):
    """Read one object."""

    identifier: Identifier = Field(alias="Identifier")


class List(Shape):
    """List the objects that there are, newest first."""

    kind: Entry | None = Field(default=None, alias="ObjectType")
    since: Qualified | None = Field(default=None, alias="LastChanged")
    most: Annotated[int, Field(ge=1, le=2**31)] | None = Field(default=None, alias="MaximumObjectCount")
    country: Country | None = Field(default=None, alias="CountryCode")


class Config(Shape):
    """Ask what the hub speaks."""


class Deliver(Shape):
    """Deliver an object."""

    identifier: Identifier = Field(alias="Identifier")
    made: Delivery = Field(alias="HI1Object")
