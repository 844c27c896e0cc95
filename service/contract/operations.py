"""What the routes cannot say of themselves: the scopes that open each operation, its conflicts, advice to callers."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.security.scopes import Scope
from workflows import authority


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one operation.

    Any one of ``scopes`` opens it. ``conflicts`` are the codes of its 409, ``rules`` the authority rules of its 403.
    """

    scopes: tuple[Scope, ...] = ()
    conflicts: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    advice: str = ""


_SECOND_OFFICER = (
    "same_officer",
    "basis_unknown",
    "basis_not_in_force",
    "officer_inactive",
    "power_missing",
    "rank_too_low",
)
_ADMINISTRATORS = (Scope.REGISTRY_WRITE, Scope.AGENCY_ADMIN)
_OWN = "An agency's administrator may do it for the own agency; another one's is a 404."

OPERATIONS: Mapping[str, Told] = {
    "getHealth": Told(),
    "getReadiness": Told(advice="503 while the node should get no work; `faults` names why."),
    "issueToken": Told(
        advice=(
            "The assertion is a JWT (RFC 7523) signed with ES256 by a key that was enrolled for you. Header: `alg`"
            " ES256, `typ` JWT, `kid` the RFC 7638 thumbprint. Claims: `iss` and `sub` your client id, `aud` the"
            " hub's address exactly as the metadata's `issuer` gives it, `iat`, `exp` (at most 300 s later) and a"
            " fresh `jti`: an assertion is good for one token. Nothing else may stand in either. Every refusal is the"
            " same 401; why is in the hub's audit."
        )
    ),
    "getTokenMetadata": Told(),
    "getKeys": Told(),
    "submitRequest": Told(
        scopes=(Scope.REQUESTS_WRITE,),
        rules=authority.RULE_NAMES,
        advice=(
            "Repeat a request whose answer you did not get with the same `Idempotency-Key` and the same content: it is"
            " answered with the first result and the header `Idempotency-Replayed: true`. The same key with another"
            " body is a 422. A freeze, an extension or a preservation waits for a second officer's approval, unless"
            " the basis is `emergency`, which must be reviewed instead. `unreachable` names participants that are"
            " known but cannot be reached: coordinators have a task for them, you should telephone."
        ),
    ),
    "listRequests": Told(
        scopes=(Scope.REQUESTS_READ,), advice="Your agency's own; coordinators and auditors of the hub see all."
    ),
    "getRequest": Told(scopes=(Scope.REQUESTS_READ,)),
    "getTimeline": Told(
        scopes=(Scope.REQUESTS_READ,),
        advice="Each fact carries the hash that chains it to the one before (SHA-256 over RFC 8785 JSON).",
    ),
    "approveRequest": Told(
        scopes=(Scope.REQUESTS_APPROVE,),
        rules=_SECOND_OFFICER,
        conflicts=("request.not_awaiting_approval", "request.end_has_come"),
        advice="The approving officer is another one than the filing one.",
    ),
    "reviewRequest": Told(
        scopes=(Scope.REQUESTS_APPROVE,), rules=_SECOND_OFFICER, conflicts=("request.not_awaiting_review",)
    ),
    "withdrawRequest": Told(
        scopes=(Scope.REQUESTS_WRITE,),
        conflicts=("request.not_awaiting_approval",),
        advice="An active request is undone by a lift, never withdrawn.",
    ),
    "listOrders": Told(
        scopes=(Scope.ORDERS_READ,),
        advice=(
            "For participants without a webhook. Ask with `after` = `next` of the page before and `wait` = 25 in a"
            " loop; store what came before you ask again, for asking again is your receipt."
        ),
    ),
    "getOrder": Told(scopes=(Scope.ORDERS_READ,), advice="Another's order is as unknown as one that does not exist."),
    "acknowledgeOrder": Told(
        scopes=(Scope.ORDERS_ANSWER,),
        advice=(
            "`received` stops the acknowledge clock for a while; `executed` says what is held now and may be said"
            " again with a larger amount; `refused` needs a `refusal_code`; `not_mine` may name who has it now;"
            " `lifted` confirms a lift. The same answer twice is answered as the first time (`repeated`). An answer"
            " that contradicts a final one changes nothing and calls a coordinator (`contradicts`)."
        ),
    ),
    "listEscalations": Told(scopes=(Scope.ESCALATIONS_READ,)),
    "listTasks": Told(scopes=(Scope.TASKS_READ,)),
    "resolveTask": Told(scopes=(Scope.TASKS_RESOLVE,), conflicts=("task.resolved",)),
    "listParticipants": Told(scopes=(Scope.REGISTRY_READ,)),
    "getParticipant": Told(scopes=(Scope.REGISTRY_READ,)),
    "enrollClient": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        conflicts=("client.taken", "key.taken", "participant.suspended"),
        advice="Only a public key: one with a private part is refused and must not be used any more.",
    ),
    "enrollOfficer": Told(scopes=_ADMINISTRATORS, conflicts=("officer.needs_agency", "officer.taken"), advice=_OWN),
    "registerEndpoint": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        conflicts=("endpoint.one_inbox",),
        advice="The hub connects to this name, in this network, at this port, over TLS, and to nothing else.",
    ),
    "rotateEndpointSecret": Told(scopes=(Scope.REGISTRY_WRITE,), conflicts=("endpoint.signs_nothing",)),
    "addContact": Told(scopes=_ADMINISTRATORS, advice=_OWN),
    "removeContact": Told(scopes=_ADMINISTRATORS, advice=_OWN),
    "suspendParticipant": Told(
        scopes=_ADMINISTRATORS,
        conflicts=("participant.operator", "participant.not_enrolled"),
        advice=f"Known on every node within ten seconds. {_OWN}",
    ),
    "resumeParticipant": Told(
        scopes=(Scope.REGISTRY_WRITE,), conflicts=("participant.operator", "participant.not_enrolled")
    ),
    "revokeKey": Told(scopes=_ADMINISTRATORS, advice=f"Tokens that were issued for it end with it. {_OWN}"),
    "getPolicy": Told(scopes=(Scope.POLICIES_READ,)),
    "setPolicy": Told(
        scopes=(Scope.POLICIES_WRITE,), advice="Requests that were filed before keep the version they were filed under."
    ),
    "listTimeLimits": Told(scopes=(Scope.POLICIES_READ,)),
    "setTimeLimit": Told(scopes=(Scope.POLICIES_WRITE,), advice="The most specific limit wins."),
    "setCalendarDay": Told(scopes=(Scope.POLICIES_WRITE,)),
}
