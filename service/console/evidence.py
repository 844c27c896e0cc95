"""A file of evidence: verified by anybody in the browser, without scripts at the hub; and exported at a request."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from fastapi import APIRouter, Request, Response

from service import db, errors, i18n
from service.actions import export_evidence
from service.console import doors, rendering
from service.engine.hub import OPERATOR, Hub
from service.queries import signing_keys
from service.security import evidence, evidence_checks
from service.security.evidence import Check
from service.web.doors import HubDep
from workflows.terms import Sector

router = APIRouter(include_in_schema=False, route_class=doors.PageRoute)

PATH = "/audit/verify"
_ABOUT_FACT = re.compile(r"fact (\d+) (is missing|was changed)")


@router.get(PATH)
async def show(request: Request, hub: HubDep) -> Response:
    """Show the page to anybody: it needs public keys and no word of the hub. Who is signed in may send a file too."""
    await _seat(request, hub)
    return await _page(request, hub)


@router.post(PATH)
async def take(request: Request, hub: HubDep, _seat: doors.SeatDep, form: doors.FilesDep) -> Response:
    """Verify a file that a browser without scripts sent, by the verifier of the command, and keep nothing of it."""
    file, listed = form.files.get("file"), form.files.get("keys")
    if file is None or not file.content:
        return await _page(request, hub, status=422, wrong="file")
    keys = None
    if listed is not None and listed.content:
        keys = evidence_checks.key_list(_text(listed.content))
        if keys is None:
            return await _page(request, hub, status=422, wrong="keys")
    found = await asyncio.to_thread(evidence.verify, _text(file.content), keys)
    return await _page(request, hub, found=found, own_keys=keys is None)


@router.post("/requests/{request_id}/evidence")
async def export(
    request: Request, hub: HubDep, seat: doors.SeatDep, _form: doors.FormDep, request_id: UUID
) -> Response:
    """Give an agency the evidence about its own request as a file, once it is on record who took it."""
    if seat.principal.sector is Sector.HUB:
        # Names stand in it: the hub's administrators make it at the hub's machine, by the command.
        raise errors.NotFound
    text = await export_evidence.export(hub, seat.principal, str(request_id))
    headers = {"Content-Disposition": rendering.attachment(hub.settings, f"evidence-{request_id}.json")}
    return Response(text, media_type="application/json", headers=headers)


async def _seat(request: Request, hub: Hub) -> None:
    try:
        await doors.seat(request, hub)
    except doors.SessionMissing:
        return


async def _page(
    request: Request,
    hub: Hub,
    *,
    status: int = 200,
    wrong: str | None = None,
    found: Sequence[Check] | None = None,
    own_keys: bool = True,
) -> Response:
    lang = rendering.language(request)
    words = words_of(lang)
    async with hub.database.read(db.Reach.of(OPERATOR)) as conn:
        keys = await signing_keys.of_the_hub(conn)
    return rendering.page(
        request,
        "verify.html",
        status=status,
        here=PATH,
        hub_address=hub.settings.address,
        hub_keys=keys.keys,
        words=words,
        wrong=wrong,
        found=None if found is None else [(each, why(each, words)) for each in found],
        failed=sum(bool(each.wrong) for each in found or ()),
        own_keys=own_keys,
    )


def words_of(lang: str) -> Mapping[str, str]:
    """Return the sentences of all checks (``check.…``) and of what can be wrong with them (``why.…``)."""
    opening = "evidence."
    return {key.removeprefix(opening): text for key, text in i18n.texts(lang).items() if key.startswith(opening)}


def why(check: Check, words: Mapping[str, str]) -> str:
    """Return what is wrong with a check in words, its codes in brackets; ``""`` where nothing is."""
    if not check.wrong:
        return ""
    told = _ABOUT_FACT.fullmatch(check.wrong)
    if told:
        return words[f"why.{told[2].replace(' ', '_')}"].format(number=told[1])
    known = [words.get(f"why.{code.strip().replace(' ', '_').replace('.', '_')}") for code in check.wrong.split(",")]
    if None in known:
        return check.wrong
    return f"{'; '.join(each for each in known if each)} ({check.wrong})"


def _text(content: bytes) -> str:
    """Return a file's text; of what is no UTF-8, a text that is no file of evidence."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return ""
