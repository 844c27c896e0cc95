"""A hostile participant's messages, by Hypothesis and by mutation: refused, or still good by the standard."""

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from etsi_exchange import LIFT_ID, ORDER_ID, answer, delivery
from hypothesis import given
from hypothesis import strategies as st
from test_etsi_parser import ANSWERS, VALID, action, refused, said

from adapters.answers import Answer
from adapters.etsi import terms
from adapters.etsi.refusal import Refused
from workflows.terms import Outcome

SEED, MUTATIONS = int(os.environ.get("HOATOC_SEED") or 20261130), 4_000


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("delivery:SequenceNumber", 1),
        ("delivery:LastSequence", False),
        ("delivery:Delivery", {"delivery:JSONData": {}}),
        ("delivery:Delivery", {"delivery:JSONData": {"holder_name": {"first": "x"}}}),
        ("delivery:Delivery", {"delivery:JSONData": {"Holder": "x"}}),
        ("delivery:Delivery", {"delivery:JSONData": {"holder_name": "x" * 600}}),
        ("delivery:Delivery", {"delivery:URL": {"delivery:URL": "https://evil.example/"}}),
        ("delivery:Manifest", {"delivery:ExternalSchema": {"delivery:ManifestID": "urn:other"}}),
        ("delivery:Reference", {"delivery:LDID": f"VN-OTHER-{ORDER_ID}"}),
        ("delivery:Reference", {"delivery:LIID": "1"}),
        ("ObjectIdentifier", LIFT_ID),
    ],
)
def test_a_delivery_in_another_form_is_refused(place: str, value: Any) -> None:
    made = delivery({"holder_name": "NGUYEN VAN MAU"})
    action(made)["DELIVER"]["HI1Object"][place] = value
    assert refused(made)[0] in {1001, 1008}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(json_values, json_values)
def test_any_json_is_refused_and_breaks_nothing(first: Any, second: Any) -> None:
    good = answer(terms.TAKEDOWN, "Resolved")
    for document in (
        first,
        {**good, "Payload": first},
        {**good, "Header": second},
        {"Header": first, "Payload": second},
    ):
        with pytest.raises(Refused):
            said(document)


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, inner in items:
        yield from _places(inner, (*path, name))


_NASTY: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**53, "", " ", "\x00", "x" * 5_000, [], {}, [[]], {"": ""}, "ế" * 300, ORDER_ID.upper()),
    *(terms.DISCLOSURE, terms.DELIVERY, "V1.22.1", "Cancelled", "Error", "ported_to:x", 2005, "VN-HOATOC-"),
)


def _mutated(draw: random.Random) -> tuple[Any, Answer | None]:
    document, expected = draw.choice(ANSWERS)
    made = copy.deepcopy(document)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        path = draw.choice(list(_places(made)))
        if not path:
            continue
        node = made
        for step in path[:-1]:
            node = node[step]
        kind = draw.randrange(4)
        if kind == 0:
            node.pop(path[-1])
        elif kind == 1 and isinstance(node, dict):
            node[str(draw.choice(_NASTY))[:40]] = draw.choice(_NASTY)
        elif kind == 2 and isinstance(node, dict):
            node[draw.choice(list(node))] = copy.deepcopy(node[path[-1]])
        else:
            node[path[-1]] = draw.choice(_NASTY)
    return made, expected


def test_a_mutated_answer_is_refused_or_still_an_answer_by_the_standard(
    record_property: Callable[[str, object], None],
) -> None:
    """Never another exception; and what is taken is valid by ETSI's own schema, so nothing is read into it."""
    draw = random.Random(SEED)
    violations, taken = [], 0
    for _ in range(MUTATIONS):
        made, _expected = _mutated(draw)
        try:
            found = said(made)
        except Refused:
            continue
        except Exception as error:
            violations.append(f"{type(error).__name__}: {json.dumps(made)[:300]}")
            continue
        taken += 1
        if not VALID.is_valid(made) or found.outcome not in {*Outcome, "error"}:
            violations.append(f"taken: {json.dumps(made)[:2000]}")
    record_property("etsi parser", f"seed={SEED} N={MUTATIONS} taken={taken} violations={len(violations)}")
    print(f"seed={SEED} N={MUTATIONS} taken={taken} violations={len(violations)}")
    assert violations == []
    assert taken > 20, "the walk must reach what is taken, too"
