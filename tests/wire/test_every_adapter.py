"""The suite that every adapter passes: one without a line in the registry, a case or golden files turns it red."""

import importlib
import inspect
import pkgutil
import re
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import adapter_cases
import pytest
from adapter_cases import CASES, PASSWORD, SECRET, Case, Wire

import adapters
from adapters.base import BatchAdapter, DeliveryFailed, Message
from adapters.registry import Adapters
from adapters.webhook import Webhook
from workflows.terms import Channel

EVERY = [pytest.param(case, id=str(channel)) for channel, case in CASES.items()]
EACH = [pytest.param(case, name, id=f"{channel}-{name}") for channel, case in CASES.items() for name in case.messages]
# A code is one word or words with dots between them, never a sentence: it goes into tables, facts and metrics.
CODE = re.compile(r"[a-z0-9]+(?:[._][a-z0-9]+)*")
TRANSPORTS = ["tls", "connect.timeout", "answer.timeout", "http.503", "http.redirect", "address.not_registered"]


def made() -> Iterator[type]:
    """Every class of the room that sends, whichever file it stands in; the sandbox is the other side."""
    for found in pkgutil.walk_packages(adapters.__path__, "adapters."):
        if found.name.startswith("adapters.sandbox"):
            continue
        module = importlib.import_module(found.name)
        for _, kind in inspect.getmembers(module, inspect.isclass):
            takes = inspect.signature(kind.send).parameters if hasattr(kind, "send") else {}
            if kind.__module__ == module.__name__ and list(takes) == ["self", "message", "endpoint", "transport"]:
                yield kind


async def failure(case: Case, message: Message, wire: Wire | None = None) -> DeliveryFailed:
    wire = wire or case.wire()
    with case.opened(wire), pytest.raises(DeliveryFailed) as caught:
        await case.speaker().send(message, case.endpoint, wire)
    return caught.value


def test_every_adapter_of_the_room_is_in_the_registry_and_every_one_there_has_its_case() -> None:
    known = adapter_cases.registry()._known
    protocols = {"Adapter", "BatchAdapter"}
    assert {kind for kind in made() if kind.__name__ not in protocols} == {type(each) for each in known.values()}
    assert known.keys() == CASES.keys()
    # A participant on the pull channel fetches its orders: nothing speaks there, and nothing else is left silent.
    assert set(Channel) - known.keys() == {Channel.PULL}


@pytest.mark.parametrize("channel", Channel)
def test_a_channel_on_which_nothing_speaks_is_said_to_be_unavailable(channel: Channel) -> None:
    bare = Adapters(Webhook("https://hub.example"))
    if channel in bare._known:
        assert bare.of(channel) is bare._known[channel]
        return
    with pytest.raises(DeliveryFailed) as caught:
        bare.of(channel)
    assert (caught.value.code, caught.value.retryable) == ("channel.unavailable", True)


@pytest.mark.parametrize("case", EVERY)
def test_every_adapter_has_golden_files_and_each_of_them_is_made(case: Case) -> None:
    assert case.messages and case.folder().is_dir(), f"{case.channel} has no golden files"
    there = {path.name for path in case.folder().iterdir()}
    assert case.messages.keys() <= there
    if case.channel not in adapter_cases.ELSEWHERE:
        assert there == case.messages.keys()


@pytest.mark.parametrize(("case", "name"), EACH)
async def test_what_is_sent_is_the_golden_file(case: Case, name: str) -> None:
    golden = (case.folder() / name).read_bytes()
    assert case.shown(await adapter_cases.sent(case, case.messages[name])) == case.shown(golden)


@pytest.mark.parametrize(("case", "name"), EACH)
async def test_the_same_message_has_the_same_bytes_at_every_attempt_and_another_one_has_others(
    case: Case, name: str
) -> None:
    message = case.messages[name]
    first = await adapter_cases.sent(case, message)
    assert await adapter_cases.sent(case, message, at=1_800_000_301.5) == first
    assert await adapter_cases.sent(case, replace(message, id="msg_" + "f" * 32)) != first


@pytest.mark.parametrize(("case", "name"), EACH)
async def test_every_instant_of_a_message_arrives_and_none_is_moved(case: Case, name: str) -> None:
    message = case.messages[name]
    texts = [each["due_at"] for each in message.body.get("deadlines", ())]
    texts += [message.body[member] for member in ("starts_at", "ends_at") if message.body.get(member)]
    wanted = {datetime.fromisoformat(each).astimezone(UTC).replace(microsecond=0) for each in texts}
    wanted.add(message.occurred_at.replace(microsecond=0))
    assert wanted <= case.instants(await adapter_cases.sent(case, message))


@pytest.mark.parametrize("case", EVERY)
async def test_what_a_format_has_no_words_for_is_refused_at_once_and_nothing_is_sent(case: Case) -> None:
    wire = case.wire()
    if case.refuses is None:
        unknown = replace(next(iter(case.messages.values())), type="vn.hoatoc.order.of_tomorrow")
        assert await adapter_cases.sent(case, unknown)
        return
    failed = await failure(case, case.refuses, wire)
    assert failed.code in {"message.not_spoken", "message.malformed"} and not failed.retryable and wire.sent == []


@pytest.mark.parametrize("body", [{"subject": object()}, {"order_id": object(), "text": None}], ids=["one", "two"])
@pytest.mark.parametrize("case", EVERY)
async def test_a_body_that_cannot_travel_fails_for_good_and_nothing_is_sent(case: Case, body: dict[str, Any]) -> None:
    wire, message = case.wire(), next(iter(case.messages.values()))
    failed = await failure(case, replace(message, body=body), wire)
    assert (failed.code, failed.retryable, wire.sent) == ("message.malformed", False, [])


@pytest.mark.parametrize("code", TRANSPORTS)
@pytest.mark.parametrize("case", [each for each in EVERY if each.id != "email"])
async def test_what_the_transport_says_is_passed_on_as_it_is(case: Case, code: str) -> None:
    told = DeliveryFailed(code, retry_after=7.0, status=503, body_head=b"busy")

    def fail(_: bytes) -> bytes:
        raise told

    assert await failure(case, next(iter(case.messages.values())), Wire(fail)) is told


@pytest.mark.parametrize("case", EVERY)
async def test_a_failure_is_a_stable_code_and_tells_no_secret_and_nobodys_account(case: Case) -> None:
    def fail(_: bytes) -> bytes:
        raise DeliveryFailed("http.503") if case.channel is not Channel.EMAIL else OSError(f"{PASSWORD} {SECRET}")

    message = next(iter(case.messages.values()))
    broken = replace(message, body={**message.body, "subject": object(), "order_id": object()})
    for failed in (await failure(case, broken), await failure(case, message, Wire(fail))):
        assert CODE.fullmatch(failed.code) and str(failed) == failed.code
        told = "".join(traceback.format_exception(failed)) + repr(failed) + repr(vars(failed))
        secrets = [SECRET, PASSWORD, message.body.get("target", {}).get("value", SECRET)]
        assert [secret for secret in secrets if secret in told] == []


@pytest.mark.parametrize("case", EVERY)
async def test_a_receipt_says_who_answered_what_and_keeps_no_more_than_the_head(case: Case) -> None:
    wire = case.wire()
    with case.opened(wire):
        receipt = await case.speaker().send(next(iter(case.messages.values())), case.endpoint, wire)
    assert 200 <= receipt.status < 300 and receipt.answered_by and len(receipt.body_head) <= 2048


@pytest.mark.parametrize("case", EVERY)
async def test_a_batch_has_the_same_bytes_at_every_attempt_and_loses_no_message(case: Case) -> None:
    speaker = case.speaker()
    if not isinstance(speaker, BatchAdapter):
        assert not hasattr(speaker, "send_batch") and not hasattr(speaker, "batches")
        return
    messages = [
        replace(message, id=f"msg_{number:032x}")
        for number, message in enumerate([*case.messages.values()] * 40, start=1)
    ]
    batches = speaker.batches(messages)
    assert [message for batch in batches for message in batch] == messages and len(batches) > 1
    wire = case.wire()
    for at in (1_800_000_000.0, 1_800_000_301.5):
        again = case.speaker(at)
        assert isinstance(again, BatchAdapter)
        await again.send_batch(batches[0], case.endpoint, wire)
    assert wire.sent[0] == wire.sent[1] and all(message.id.encode() in wire.sent[0] for message in batches[0])
