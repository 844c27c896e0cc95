"""The questions in their order for each kind of request, and which answers belong to which question."""

from collections.abc import Mapping
from enum import StrEnum

from workflows import authority_rules, disclose, extend, freeze, lift, recall, takedown, trace
from workflows.terms import Action, LegalBasis, TargetKind


class Step(StrEnum):
    """One page with one question; its name is the last part of the page's address."""

    ACTION = "action"
    TEXT = "text"
    FOUND = "found"
    TARGETS = "targets"
    MEASURE = "measure"
    ASKED = "asked"
    WINDOW = "window"
    AMOUNT = "amount"
    PAYMENT = "payment"
    CASE = "case"
    BASIS = "basis"
    URGENCY = "urgency"
    END = "end"
    DOCUMENT = "document"
    PAPER = "paper"
    CONTACT = "contact"
    CHECK = "check"
    SIGN = "sign"


PATH = "/requests/new"
ACTIONS = (Action.FREEZE, Action.TAKEDOWN, Action.PRESERVE, Action.RECALL, Action.TRACE, Action.DISCLOSE)
# These begin on the page of the request that they are about, and name no target of their own.
FOLLOW_UPS = (Action.LIFT, Action.EXTEND)
# What is about one account at a time; the others take up to a hundred targets.
ONE = frozenset({Action.FREEZE, Action.RECALL, Action.TRACE})

_FIRST = (Step.ACTION, Step.TEXT, Step.FOUND, Step.TARGETS)
_LAST = (Step.DOCUMENT, Step.PAPER, Step.CONTACT, Step.CHECK, Step.SIGN)
_MIDDLE: Mapping[Action, tuple[Step, ...]] = {
    Action.FREEZE: (Step.AMOUNT, Step.CASE, Step.BASIS, Step.URGENCY, Step.END),
    Action.TAKEDOWN: (Step.MEASURE, Step.CASE, Step.BASIS, Step.URGENCY, Step.END),
    Action.PRESERVE: (Step.CASE, Step.BASIS, Step.URGENCY, Step.END),
    Action.RECALL: (Step.AMOUNT, Step.PAYMENT, Step.CASE, Step.BASIS, Step.URGENCY),
    Action.TRACE: (Step.WINDOW, Step.CASE, Step.BASIS, Step.URGENCY),
    Action.DISCLOSE: (Step.ASKED, Step.CASE, Step.BASIS, Step.URGENCY),
    Action.LIFT: (Step.CASE, Step.BASIS, Step.URGENCY),
    Action.EXTEND: (Step.END, Step.CASE, Step.BASIS, Step.URGENCY),
}
_ABOUT: Mapping[Action, frozenset[Action]] = {Action.LIFT: lift.ABOUT, Action.EXTEND: extend.ABOUT}
_KINDS: Mapping[Action, frozenset[TargetKind]] = {
    Action.FREEZE: freeze.TARGETS,
    Action.TAKEDOWN: takedown.TARGETS,
    Action.PRESERVE: frozenset(TargetKind),
    Action.RECALL: recall.TARGETS,
    Action.DISCLOSE: disclose.TARGETS,
    Action.TRACE: trace.TARGETS,
}

# The answers of a question: by their whole name, or by what stands before a dot.
_FIELDS: Mapping[Step, tuple[str, ...]] = {
    Step.ACTION: ("action",),
    Step.TEXT: ("text",),
    Step.FOUND: ("pick",),
    Step.TARGETS: ("targets",),
    Step.MEASURE: ("measure",),
    Step.ASKED: ("asked",),
    Step.WINDOW: ("window.since", "window.until"),
    Step.AMOUNT: ("extent", "amount", "whole_account"),
    Step.PAYMENT: ("payment",),
    Step.CASE: ("case_number",),
    Step.BASIS: ("legal_basis", "province_code"),
    Step.URGENCY: ("urgency",),
    Step.END: ("until", "ends_at", "starts_at", "reason"),
    Step.DOCUMENT: ("document.number", "document.date"),
    Step.PAPER: ("document.sha256", "paper"),
    Step.CONTACT: ("contact",),
}
# What the rules of authority say about a request belongs to the answer that can mend it; else to the legal basis.
_RULES: Mapping[str, Step] = {
    "target_not_covered": Step.TARGETS,
    "urgency_too_low": Step.URGENCY,
    "whole_account_not_covered": Step.AMOUNT,
    "whole_account_needs_senior": Step.AMOUNT,
    "amount_missing": Step.AMOUNT,
    "amount_over_cap": Step.AMOUNT,
    "end_missing": Step.END,
}


def action_of(answers: Mapping[str, str]) -> Action | None:
    """Return what is asked for, once that was answered."""
    chosen = answers.get("action")
    return Action(chosen) if chosen in (*ACTIONS, *FOLLOW_UPS) else None


def order(action: Action | None) -> tuple[Step, ...]:
    """Return the questions of a kind of request; before it was chosen, only that one."""
    if action is None:
        return (Step.ACTION,)
    return (*(() if action in FOLLOW_UPS else _FIRST), *_MIDDLE[action], *_LAST)


def follow_ups(action: Action, *, is_active: bool, has_end: bool) -> tuple[Action, ...]:
    """Return what can be asked about a request of this kind: a lift, and of what is active and ends an extension.

    The rules decide when it is filed; this spares a button that could only lead to their no.
    """
    may = {Action.LIFT: True, Action.EXTEND: is_active and has_end}
    return tuple(each for each in FOLLOW_UPS if action in _ABOUT[each] and may[each])


def after(step: Step, action: Action, *, found: bool) -> Step:
    """Return the question behind ``step``; nobody is asked to choose where nothing was found."""
    steps = order(action)
    following = steps[steps.index(step) + 1]
    return Step.TARGETS if following is Step.FOUND and not found else following


def before(step: Step, action: Action | None, *, found: bool) -> Step | None:
    """Return the question in front of ``step``."""
    steps = order(action)
    if step not in steps or step is steps[0]:
        return None
    preceding = steps[steps.index(step) - 1]
    return Step.TEXT if preceding is Step.FOUND and not found else preceding


def kinds(action: Action) -> tuple[TargetKind, ...]:
    """Return the kinds of target that a request may name on these pages, in the order of the vocabulary."""
    return tuple(kind for kind in TargetKind if kind in _KINDS.get(action, ()))


def bases(action: Action) -> tuple[LegalBasis, ...]:
    """Return the legal bases whose rules know this kind of request."""
    known = {rule.basis for rule in authority_rules.RULES if action in rule.actions}
    return tuple(basis for basis in LegalBasis if basis in known)


def owns(step: Step, name: str) -> bool:
    """Tell whether an answer of this name belongs to a question."""
    return any(name == each or name.startswith(f"{each}.") for each in _FIELDS.get(step, ()))


def step_of(name: str, action: Action) -> Step:
    """Return the question of an answer; what belongs to none (who signs) is told where all is checked."""
    return next((step for step in order(action) if owns(step, name)), Step.CHECK)


def step_of_rule(rule: str, action: Action) -> Step:
    """Return the question whose answer an authority rule is about."""
    step = _RULES.get(rule, Step.BASIS)
    return step if step in order(action) else Step.BASIS
