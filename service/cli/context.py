"""How a command gets a hub: settings, the lock of an embedded database, and expected errors as one clear line."""

import asyncio
import contextlib
import os
import pwd
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DBAPIError

from adapters.base import DeliveryFailed
from service import app, log
from service.actions import administrators, changes
from service.cli import output
from service.engine import node
from service.engine.hub import Hub
from service.engine.node import AlreadyRunning
from service.errors import HubError
from service.migrations import SchemaMismatch, WrongKind
from service.row_security import Unprotected
from service.security import keyfile
from service.security.keyring import KeyUnfit
from service.security.principals import Principal
from service.settings import Settings
from service.vault import SealBroken
from service.web import problems

T = TypeVar("T")

By = Annotated[str | None, typer.Option("--by", help="your client system's id; default: the account on this machine")]
Key = Annotated[Path | None, typer.Option("--key", help="its private key, as hoatoc keygen wrote it")]
# Of what two people must do, the second one is known by his key: an account on this machine may serve several.
SecondBy = Annotated[str, typer.Option("--by", help="your client system's id: another person's than the first one's")]
SecondKey = Annotated[Path, typer.Option("--key", help="its private key, as hoatoc keygen wrote it")]


def quiet() -> None:
    """Log errors only, to the standard error: a command's answer is its output."""
    log.configure("error")


def settings() -> Settings:
    """Read the settings; a wrong one ends the command with its name."""
    with told():
        return Settings()


def account() -> str:
    """Return the name of the account that this process really runs as: an environment can say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def person() -> Principal:
    """Return who works here: the account on this machine, as an administrator of the hub."""
    return changes.local_administrator(account())


async def who(hub: Hub, by: str | None, key: Path | None) -> Principal:
    """Return who works here: an enrolled administrator who shows his key, or the account on this machine."""
    if (by is None) != (key is None):
        raise output.fail("--by goes with --key")
    if by is None or key is None:
        return person()
    # The file holds the private half: nobody else can have read it.
    return await administrators.of_key(hub, by, keyfile.load(key).kid)


def act(work: Callable[[Hub], Awaitable[T]], *, writes: bool = False) -> T:
    """Do ``work`` with a hub opened from the settings; with ``writes`` nobody else may hold an embedded database."""
    with told():
        return asyncio.run(_with_hub(settings(), work, writes))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end; expected errors end the command with one line."""
    with told():
        return asyncio.run(work)


def stay(work: Coroutine[Any, Any, T]) -> T:
    """Run a node, as ``run`` does and on the faster loop (ADR 0069)."""
    with told(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@contextlib.contextmanager
def locked(chosen: Settings) -> Iterator[None]:
    """Hold the lock of an embedded database while something is written; PostgreSQL needs none.

    Raises ``AlreadyRunning`` while a hub runs: its own doors are the way to change anything then.
    """
    if not chosen.embedded:
        yield
        return
    chosen.data_dir.mkdir(parents=True, exist_ok=True)
    path = chosen.url.partition(":///")[2]
    with node.lock(Path(f"{path}.lock")):
        yield


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn an expected error into one line on the standard error and exit code 1."""
    try:
        yield
    except HubError as error:
        raise output.fail(_of_hub(error)) from None
    except ValidationError as error:
        raise output.fail("; ".join(_of_field(detail) for detail in error.errors())) from None
    except KeyUnfit as unfit:
        raise output.fail(f"the key cannot be used: {unfit.code}") from None
    except SealBroken:
        raise output.fail("a sealed field does not open: is this the data's own vault.key?") from None
    except DeliveryFailed as failed:
        raise output.fail(f"the hub did not answer: {failed.code}") from None
    except DBAPIError as error:
        raise output.fail(f"the database refuses: {type(error.orig).__name__}") from None
    except AlreadyRunning as running:
        raise output.fail(f"{running}; stop the hub first, or use its API") from None
    except PermissionError as error:
        raise output.fail(_of_file(error)) from None
    except (SchemaMismatch, WrongKind, Unprotected, OSError, UnicodeDecodeError) as error:
        raise output.fail(str(error)) from None


def read(path: Path, largest: int | None = None) -> str:
    """Return the text of a file that a command was given; more than ``largest`` bytes end the command."""
    with told():
        return path.read_text(encoding="utf-8") if largest is None else raw(path, largest).decode("utf-8")


def raw(path: Path, largest: int) -> bytes:
    """Return the bytes of a file that a command was given, - for its input; more than ``largest`` end the command."""
    with told(), contextlib.nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise output.fail(f"{path} is larger than {largest:,} bytes")
    return content


def parse(shape: Callable[[], T]) -> T:
    """Build a shape from a command's options; what is wrong is said by the field's name."""
    with told():
        return shape()


async def _with_hub(chosen: Settings, work: Callable[[Hub], Awaitable[T]], writes: bool) -> T:
    with locked(chosen) if writes else contextlib.nullcontext():
        hub = await app.open_hub(chosen)
        try:
            return await work(hub)
        finally:
            await app.close_hub(hub)


def _of_hub(error: HubError) -> str:
    problem = problems.document(error.status, error.code, error.fields, error.params)
    fields = [f"{each['field']}: {each['message']} ({each['code']})" for each in problem["errors"]]
    if not fields:
        return f"{problem['detail']} ({error.code})"
    # What is wrong comes first; that something is wrong needs no sentence of its own.
    return f"{'; '.join(fields)}; {error.code}, nothing was written"


def _of_file(error: PermissionError) -> str:
    if error.filename is None:
        return str(error)
    path = Path(str(error.filename))
    try:
        # Of a file that is not even seen from here, the folder around it.
        owner = next(each for each in (path, *path.parents) if _is_seen(each)).owner()
    except (StopIteration, OSError, KeyError):
        return str(error)
    text = f"{path}: permission denied; it belongs to {owner}, and this command runs as {account()}"
    return f"{text}: run it as {owner}" if "keys" in (path.name, path.parent.name) else text


def _is_seen(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _of_field(detail: ErrorDetails) -> str:
    # The value itself is not repeated: it may be a secret or a person's.
    return f"{'.'.join(map(str, detail['loc'])) or 'input'}: {detail['msg']}"


def ask_secretly(text: str) -> str:
    """Ask for what nobody may read over the shoulder."""
    answer: str = typer.prompt(text, err=True, hide_input=True)
    return answer


def ask(text: str) -> str:
    """Ask a person at the terminal for what should not stand in the history of commands."""
    answer: str = typer.prompt(text, err=True)
    return answer
