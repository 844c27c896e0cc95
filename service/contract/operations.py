"""What the routes cannot say of themselves: the scopes that open each operation, its conflicts, advice to callers."""

from collections.abc import Mapping

from service.contract.disclosing import DISCLOSING
from service.contract.following import FOLLOWING, SECOND_OFFICER
from service.contract.maintenance import MAINTENANCE
from service.contract.told import Told
from service.security.scopes import Scope
from workflows import authority

_ADMINISTRATORS = (Scope.REGISTRY_WRITE, Scope.AGENCY_ADMIN)
_NOT_STOPPED = ("participant.operator", "participant.not_enrolled")
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
    "getSigningKeys": Told(
        advice=(
            "With them anybody verifies the header `Hoatoc-Signature` of an order, today or in ten years. Fetch them"
            " when an order names a `kid` that you do not know. A key that is `next` signs nothing yet."
        )
    ),
    "submitRequest": Told(
        scopes=(Scope.REQUESTS_WRITE,),
        rules=authority.RULE_NAMES,
        advice=(
            "Repeat a request whose answer you did not get with the same `Idempotency-Key` and the same content: it is"
            " answered with the first result and the header `Idempotency-Replayed: true`. The same key with another"
            " body is a 422. A freeze, an extension, a preservation, a recall, a disclosure or a trace waits for a"
            " second officer's approval, unless the basis is `emergency`, which must be reviewed instead. `unreachable`"
            " names participants that are known but cannot be reached: coordinators have a task for them, you should"
            " telephone. What passes a bound of the officer, the agency or the pair of officers gets the state"
            " `held_for_callback`, at once or when it is approved: nothing is sent until the hub has called your duty"
            " desk."
        ),
    ),
    "listRequests": Told(
        scopes=(Scope.REQUESTS_READ,), advice="Your agency's own; coordinators and auditors of the hub see all."
    ),
    "getRequest": Told(
        scopes=(Scope.REQUESTS_READ,),
        advice="That you opened it is on record (`listReads`): to follow a state, list requests or take the webhook.",
    ),
    "getTimeline": Told(
        scopes=(Scope.REQUESTS_READ,),
        advice="Each fact carries the hash that chains it to the one before (SHA-256 over RFC 8785 JSON).",
    ),
    "listReads": Told(
        scopes=(Scope.REQUESTS_READ,),
        advice=(
            "Each opening of the request, its body, an order, an appeal or the note of a task by anybody, participants"
            " and the hub's operator too. Delivery to a participant and the answer to one's own act are none."
        ),
    ),
    "getRequestBody": Told(
        scopes=(Scope.REQUESTS_READ,),
        conflicts=("request.erased",),
        advice=(
            "For the own agency alone; for everybody else, coordinators too, it is unknown. Show it to the approving"
            " officer and sign its RFC 8785 form: whoever signs what somebody else retyped signs something else."
        ),
    ),
    "approveRequest": Told(
        scopes=(Scope.REQUESTS_APPROVE,),
        rules=SECOND_OFFICER,
        conflicts=("request.not_awaiting_approval", "request.end_has_come"),
        advice=(
            "The approving officer is another one than the filing one, with another key, and signs the same content as"
            " the first one: the request as it was filed."
        ),
    ),
    "reviewRequest": Told(
        scopes=(Scope.REQUESTS_APPROVE,), rules=SECOND_OFFICER, conflicts=("request.not_awaiting_review",)
    ),
    "withdrawRequest": Told(
        scopes=(Scope.REQUESTS_WRITE,),
        conflicts=("request.not_awaiting_approval",),
        advice=(
            "An active request is undone by a lift, never withdrawn. The officer signs this body: `typ`"
            " hoatoc-withdrawal+jws, `sub` the request's id."
        ),
    ),
    **DISCLOSING,
    **FOLLOWING,
    "listOrders": Told(
        scopes=(Scope.ORDERS_READ,),
        advice=(
            "For participants without a webhook. Ask with `after` = `next` of the page before and `wait` = 25 in a"
            " loop; store what came before you ask again, for asking again is your receipt."
        ),
    ),
    "getOrder": Told(scopes=(Scope.ORDERS_READ,), advice="Another's order is as unknown as one that does not exist."),
    "getOrderLetter": Told(
        scopes=(Scope.ORDERS_READ, Scope.REQUESTS_READ),
        conflicts=("request.erased",),
        advice=(
            "The order itself and the hub's signature over it are attached to the file (`order.json`, `order.jws`), and"
            " its QR code holds the target. A participant gets the letters of its orders, an agency those of its"
            " requests. That you opened it is on record."
        ),
    ),
    "acknowledgeOrder": Told(
        scopes=(Scope.ORDERS_ANSWER,),
        conflicts=("request.erased", "disclosure.over", "trace.over"),
        advice=(
            "`received` stops the acknowledge clock for a while; `executed` says what is held now and may be said"
            " again with a larger amount, of a recall what was sent back (`amount_returned`), of a disclosure the data"
            " (`disclosed`: what was asked and nothing else, or nothing of it is kept; said again it completes or"
            " corrects), of a trace the movements (`traced`: those inside the window, the largest first, likewise);"
            " `refused` needs a `refusal_code`; `not_mine` may name who has it now;"
            " `lifted` confirms a lift. The same answer twice is answered as the first time (`repeated`). An answer"
            " that contradicts a final one changes nothing and calls a coordinator (`contradicts`)."
        ),
    ),
    "exchangeMessage": Told(
        scopes=(Scope.ORDERS_ANSWER,),
        advice=(
            "Each action is answered under its number; what is wrong is an `ErrorInformation`, with status 200 too, and"
            " changes nothing. An UPDATE or DELIVER stands alone, and its message is signed with the order's id as"
            " `sub`. The same `TransactionIdentifier` with the same content changes nothing more. Which members are"
            " spoken, the numbers of errors and a whole exchange are on the handbook's page on ETSI."
        ),
    ),
    "receiveBusinessMessage": Told(
        scopes=(Scope.ORDERS_ANSWER,),
        conflicts=("request.erased",),
        advice=(
            "camt.025, camt.047, camt.029 and auth.002 answer an order, admi.002 reports that a message could not be"
            " processed. The XML signature over the whole message is by your answer key (ES256), `To` names the hub's"
            " issuer, `CreDt` is at most 15 minutes old. The same message again, byte for byte, is answered as the"
            " first time (`repeated`); another one under the same `BizMsgIdr` is refused. Refusals are problems, never"
            " messages. How orders and answers look: the page ISO 20022 of the handbook."
        ),
    ),
    "fileAppeal": Told(
        scopes=(Scope.APPEALS_FILE,),
        conflicts=("appeal.nothing_held", "appeal.already_open"),
        advice=(
            "A participant contests an order of its own that holds something now; the duty desk files for a person, by"
            " the order or by the reference on the paper. Give the appellant the `reference`: it opens the state to"
            " anybody and nothing else. The first answer is due in 4 hours, the decision by the end of the next working"
            " day."
        ),
    ),
    "listAppeals": Told(scopes=(Scope.APPEALS_READ,)),
    "getAppeal": Told(
        scopes=(Scope.APPEALS_READ,), advice="What was said is opened to the agency and to whoever filed it."
    ),
    "getAppealState": Told(advice="A reference that was never given is a 404."),
    "answerAppeal": Told(
        scopes=(Scope.REQUESTS_WRITE,),
        conflicts=("appeal.not_open",),
        rules=("officer_inactive",),
        advice="The officer signs this body: `typ` hoatoc-reply+jws, `sub` the appeal's id.",
    ),
    "decideAppeal": Told(
        scopes=(Scope.REQUESTS_APPROVE,),
        conflicts=("appeal.not_open",),
        rules=("officer_inactive", "same_officer", "power_missing"),
        advice=(
            "The officer signs this body without `signature`. What is upheld is lifted in the same transaction and"
            " counts as a wrongful hold; a smaller hold is a new request. A decision without an answer before it is the"
            " first answer too."
        ),
    ),
    "listWrongfulHolds": Told(
        scopes=(Scope.REQUESTS_READ,), advice="An agency sees its own line, the hub's coordinators and auditors all."
    ),
    "listEscalations": Told(scopes=(Scope.ESCALATIONS_READ,)),
    "listTasks": Told(scopes=(Scope.TASKS_READ,)),
    "resolveTask": Told(
        scopes=(Scope.TASKS_RESOLVE,),
        conflicts=("task.resolved", "task.callback"),
        advice="The task of a call-back is resolved by its answer (`answerCallback`) and by nothing else.",
    ),
    "previewReplay": Told(scopes=(Scope.TASKS_RESOLVE,), advice="Count before you send: what is over is left out."),
    "replayDispatches": Told(
        scopes=(Scope.TASKS_RESOLVE,),
        advice=(
            "Each message keeps its id, so that a receiver that has it knows it again, and goes out behind all that is"
            " new, ten a second to one endpoint. An order that was lifted, withdrawn or answered for good is never sent"
            " again. Ask with the same body until `more` is false: nothing is sent twice by it. The tasks of what was"
            " given up are resolved by it."
        ),
    ),
    "answerCallback": Told(
        scopes=(Scope.TASKS_RESOLVE,),
        conflicts=(
            "request.not_held",
            "callback.same_person",
            "request.end_has_come",
            "request.nobody_to_order",
            "participant.not_active",
        ),
        rules=tuple(rule for rule in SECOND_OFFICER if rule != "same_officer"),
        advice=(
            "Call the number in the task's `call`, never one from the request. One `denied` refuses the request; it"
            " goes out when two different people, each signed in at the console, have said `confirmed`: a system's is"
            " a 403 `callback.person_needed`, it may only deny. A release checks again whatever an approval checks, so"
            " it may be refused as an approval is; the request stays held then."
        ),
    ),
    "listParticipants": Told(scopes=(Scope.REGISTRY_READ,)),
    "getParticipant": Told(scopes=(Scope.REGISTRY_READ,)),
    "enrollClient": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        conflicts=("client.taken", "key.taken", "participant.suspended"),
        advice="Only a public key: one with a private part is refused and must not be used any more.",
    ),
    "enrollKey": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        conflicts=("key.taken",),
        advice=(
            "Only the hub's operator registers signature keys, after seeing the person or calling the institution at a"
            " number that it knows: an agency that registered its own could sign as two officers."
        ),
    ),
    "enrollOfficer": Told(scopes=_ADMINISTRATORS, conflicts=("officer.needs_agency", "officer.taken"), advice=_OWN),
    "registerEndpoint": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        conflicts=("endpoint.one_inbox", "endpoint.not_certified"),
        advice=(
            "The hub connects to this name, in this network, at this port, over TLS under these authorities, and to"
            " nothing else. A webhook is only proposed by it: nothing is sent there before `approveEndpoint`."
        ),
    ),
    "recordCertification": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        advice="`report.json` of `hoatoc certify`, signed by this hub; it counts for its channel, host and port.",
    ),
    "listEndpointProposals": Told(scopes=(Scope.REGISTRY_WRITE,)),
    "proposeEndpoint": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        conflicts=("endpoint.not_proposed",),
        advice="The whole definition; it supersedes what was proposed before and is still open.",
    ),
    "approveEndpoint": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        conflicts=(
            "endpoint.not_proposed",
            "endpoint.other_definition",
            "endpoint.proposer_gone",
            "endpoint.not_allowed_now",
            "endpoint.not_certified",
        ),
        advice=(
            "By a system of a different administrator with a different key (403 `endpoint.same_person`), for exactly"
            " the definition whose `sha256` is named: over compact JSON with sorted names of `ca_pem`, `channel`,"
            " `client_certificate`, `endpoint_id`, `max_in_flight`, `network`, `participant_id`, `port`, `position`,"
            " `purpose`, `timeout_seconds`, `url` and, where they say something, `batch` (true) and `max_per_second`."
        ),
    ),
    "refuseEndpoint": Told(
        scopes=(Scope.REGISTRY_WRITE,), conflicts=("endpoint.not_proposed", "endpoint.other_definition")
    ),
    "rotateEndpointSecret": Told(scopes=(Scope.REGISTRY_WRITE,), conflicts=("endpoint.signs_nothing",)),
    "addContact": Told(
        scopes=_ADMINISTRATORS,
        advice=f"A webhook is called once an administrator of the hub has let it pass (`approveEndpoint`). {_OWN}",
    ),
    "removeContact": Told(scopes=_ADMINISTRATORS, advice=_OWN),
    **MAINTENANCE,
    "setDutyPhone": Told(
        scopes=(Scope.REGISTRY_WRITE,),
        advice="From paper, never from a message: whoever answers this number releases what is held.",
    ),
    "suspendParticipant": Told(
        scopes=_ADMINISTRATORS,
        conflicts=_NOT_STOPPED,
        advice=f"Known on every node within ten seconds. {_OWN}",
    ),
    "resumeParticipant": Told(scopes=(Scope.REGISTRY_WRITE,), conflicts=_NOT_STOPPED),
    "revokeKey": Told(scopes=_ADMINISTRATORS, advice=f"Tokens that were issued for it end with it. {_OWN}"),
    "getPolicy": Told(scopes=(Scope.POLICIES_READ,)),
    "setPolicy": Told(
        scopes=(Scope.POLICIES_WRITE,), advice="Requests that were filed before keep the version they were filed under."
    ),
    "listTimeLimits": Told(scopes=(Scope.POLICIES_READ,)),
    "setTimeLimit": Told(scopes=(Scope.POLICIES_WRITE,), advice="The most specific limit wins."),
    "setCalendarDay": Told(scopes=(Scope.POLICIES_WRITE,)),
}
