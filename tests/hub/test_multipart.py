"""A form with a file is read strictly: what two readers could take for two things is refused."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.errors import MalformedInput
from service.web import bodies, multipart

TYPE = b"multipart/form-data; boundary=----x1"


def part(name: str, body: bytes, more: str = "") -> bytes:
    return f'------x1\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + body + b"\r\n"


END = b"------x1--\r\n"
FILE = '; filename="quyết định.pdf"\r\nContent-Type: application/pdf'


def test_fields_and_files_come_byte_by_byte() -> None:
    content = b"%PDF\r\n--\x00\xff\r\n----x1 no boundary\r\n"
    form = multipart.read(part("csrf_token", "mã".encode()) + part("paper", content, FILE) + END, TYPE)
    assert form.fields == {"csrf_token": "mã"}
    assert (form.files["paper"].name, form.files["paper"].content) == ("quyết định.pdf", content)
    assert "PDF" not in repr(form.files["paper"])


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (part("a", b"1"), TYPE),
        (part("a", b"1") + END + b"more", TYPE),
        (b"before" + part("a", b"1") + END, TYPE),
        (part("a", b"1") + part("a", b"2") + END, TYPE),
        (part("a", b"1") + part("a", b"2", FILE) + END, TYPE),
        (part("a", b"\x00") + END, TYPE),
        (part("a", b"\xff") + END, TYPE),
        (b"------x1\r\nContent-Disposition: form-data\r\n\r\n1\r\n" + END, TYPE),
        (b'------x1\r\nContent-Disposition: form-data; name="a"\r\n' + END, TYPE),
        (b"".join(part(f"f{number}", b"1") for number in range(9)) + END, TYPE),
        (END, TYPE),
        (b"", TYPE),
        (part("a", b"1") + END, b"multipart/form-data"),
        (part("a", b"1") + END, b"application/x-www-form-urlencoded"),
    ],
)
def test_anything_else_is_refused(raw: bytes, content_type: bytes) -> None:
    with pytest.raises(MalformedInput, match=r"form\.malformed"):
        multipart.read(raw, content_type)


def test_a_pasted_text_loses_what_nobody_sees_and_nothing_else() -> None:
    raw = b"text=a%E2%80%8E1%0D%0Ab%EF%BB%BF&other=%00x"
    assert bodies.read_form(raw, most=2, cleans=True) == {"text": "a1\r\nb", "other": "x"}
    with pytest.raises(MalformedInput):
        bodies.read_form(raw)
    with pytest.raises(MalformedInput):
        bodies.read_form(raw, most=1, cleans=True)


async def test_so_many_papers_come_in_at_a_time_and_the_next_is_told_to_come_back() -> None:
    """They are held in memory before anybody knows whose they are: a place is given back with the answer."""
    more = asyncio.Event()

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = bodies.BodyGuard(inside)

    async def ask(path: str = "/requests/new/paper", *, waits: bool = True) -> int:
        head = [(b"host", b"hub"), (b"content-length", b"3"), (b"content-type", b"multipart/form-data; boundary=x")]
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": head}
        said: list[Any] = []

        async def receive() -> Message:
            if waits:
                await more.wait()
            return {"type": "http.request", "body": b"abc", "more_body": False}

        async def send(message: Message) -> None:
            said.append(message)

        await guard({**scope, "query_string": b"", "http_version": "1.1"}, receive, send)
        status: int = said[0]["status"]
        return status

    under_way = [asyncio.create_task(ask()) for _ in range(bodies.MOST_PAPERS)]
    await asyncio.sleep(0)
    assert await ask(waits=False) == 503
    assert await ask("/requests/new/text", waits=False) == 204
    more.set()
    assert await asyncio.gather(*under_way) == [204] * bodies.MOST_PAPERS
    assert await ask(waits=False) == 204
