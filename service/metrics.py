"""The numbers that Prometheus reads; labels are codes, participant ids and route templates, never personal data."""

import math
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from workflows.terms import DispatchKind

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# What the hub logs as an error, by its code; the operator's guide says what to do about each.
ERROR_EVENTS = (
    *(
        "attempt.broke",
        "audit.holes",
        "database.unavailable",
        "firing.broke",
        "firing.given_up",
        "handing_over.unreadable",
    ),
    *("job.failed", "job.missed", "loop.died", "node.fenced", "reading.unrecorded", "refusals.not_kept"),
    *(
        "request.failed",
        "retention.unreadable",
        "settling.broke",
        "settling.given_up",
        "text.missing",
        "vault.root_replaced",
    ),
)

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

HTTP_SECONDS = Histogram(
    "hoatoc_http_request_seconds",
    "Time to answer a request",
    ("method", "route", "status"),
    buckets=_SECONDS,
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "hoatoc_delivery_attempts",
    "Attempts to deliver, by what came of them",
    ("kind", "channel", "code"),
    registry=REGISTRY,
)
ATTEMPT_SECONDS = Histogram(
    "hoatoc_delivery_attempt_seconds", "Duration of one attempt", ("channel",), buckets=_SECONDS, registry=REGISTRY
)
DELIVERED_AFTER = Histogram(
    "hoatoc_delivered_after_seconds",
    "Time from the placing of a dispatch to its delivery",
    ("kind",),
    buckets=(*_SECONDS, 60, 300, 1800, 7200),
    registry=REGISTRY,
)
DEAD = Counter("hoatoc_dead_dispatches", "Dispatches given up", ("kind",), registry=REGISTRY)
SUPERSEDED = Counter(
    "hoatoc_superseded_attempts",
    "Attempts that ended after their lease, or after their message was over",
    registry=REGISTRY,
)
IN_FLIGHT = Gauge("hoatoc_in_flight_dispatches", "Calls that this node is making: a batch is one", registry=REGISTRY)
UNSETTLED = Gauge(
    "hoatoc_unsettled_results", "Attempts that ended and of which nothing is written yet", registry=REGISTRY
)
QUEUE = Gauge("hoatoc_queue_rows", "Rows of the dispatch queue", ("state",), registry=REGISTRY)
QUEUE_OLDEST = Gauge(
    "hoatoc_queue_oldest_seconds", "How long the oldest row that may go has been waiting", registry=REGISTRY
)
OPEN_BREAKERS = Gauge("hoatoc_open_breakers", "Endpoints that are left in peace for a while", registry=REGISTRY)
DEADLINES_LATE = Gauge(
    "hoatoc_deadlines_late_seconds", "How long the earliest deadline that has not fired is past due", registry=REGISTRY
)
FIRED_LATE = Histogram(
    "hoatoc_fired_late_seconds",
    "How long after its instant a deadline fired: the latest of each batch",
    buckets=(*_SECONDS, 60, 300, 1800),
    registry=REGISTRY,
)
SHED = Counter(
    "hoatoc_shed_requests",
    "Calls told to come back because the node was full, by what they brought or what was full",
    ("urgency",),
    registry=REGISTRY,
)
REAPED = Counter("hoatoc_reaped_leases", "Leases taken back from nodes that were gone", registry=REGISTRY)
BREAKER_MOVES = Counter(
    "hoatoc_breaker_moves", "Breakers that opened or closed", ("participant", "to"), registry=REGISTRY
)
FIRED = Counter("hoatoc_fired_deadlines", "Deadlines and rungs that fired", registry=REGISTRY)
HEARTBEATS_MISSED = Counter("hoatoc_heartbeats_missed", "Heartbeats that the database did not take", registry=REGISTRY)
FENCED = Counter(
    "hoatoc_self_fencings", "Times that this node gave up its leases because it looked dead", registry=REGISTRY
)
CLOCK_OFFSET = Gauge("hoatoc_clock_offset_seconds", "This node's clock minus the database's", registry=REGISTRY)
DRILL = Gauge("hoatoc_drill", "1 where this is a drill's hub, 0 where it is the real one", registry=REGISTRY)
HOLES = Gauge("hoatoc_audit_holes", "What should have happened and has not", ("kind",), registry=REGISTRY)
LOOP_RESTARTS = Counter(
    "hoatoc_loop_restarts", "Loops of the worker that died and were started again", ("loop",), registry=REGISTRY
)
TURN_WAIT = Histogram(
    "hoatoc_turn_wait_seconds",
    "Time until a call at the doors is worked on, by what it brings",
    ("of",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
CONNECTION_WAIT = Histogram(
    "hoatoc_database_wait_seconds",
    "Time to get a connection to the database, by whose it is",
    ("of",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
CONNECTIONS_CUT = Counter(
    "hoatoc_connections_cut", "Connections that the hub ended or refused by itself, by why", ("why",), registry=REGISTRY
)
ERRORS = Counter(
    "hoatoc_logged_errors", "Errors that this process logged, by their code", ("event",), registry=REGISTRY
)


def _begin() -> None:
    """Give what is known from the start its first figure.

    A series that begins with its first event hides that event from whoever watches for growth; and what no auditor has
    looked at is not 0, as on a node without a worker.
    """
    for counter, known in (
        (SHED, product(("urgent", "normal", "answer", "crowd", "body"))),
        (DEAD, product(DispatchKind)),
        (LOOP_RESTARTS, product(("heartbeat", "claim", "settle", "fire"))),
        (CONNECTIONS_CUT, product(("head", "body", "answer", "address", "crowd", "malformed", "discarded"))),
        (ERRORS, product(ERROR_EVENTS)),
    ):
        for labels in known:
            counter.labels(*labels)
    for gauge in (QUEUE_OLDEST, OPEN_BREAKERS, DEADLINES_LATE, CLOCK_OFFSET):
        gauge.set(math.nan)


_begin()


def render() -> bytes:
    """Return all numbers in Prometheus' text form."""
    return generate_latest(REGISTRY)
