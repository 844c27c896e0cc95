"""Plays canaries through what follows a filing: disclosure, recall, the standards' doors, letters, pages, a list."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import etsi_steps
import httpx
import isolation_walk
import pypdfium2
import steps
import world as worlds
from apis import DAY
from builders import table
from canary_cast import Bird
from canary_flight import Flight, contact, takedown
from front_servers import Served
from iso_bank import Bank

from adapters.answers import Moved, Traced
from adapters.etsi import terms as telecom_terms
from adapters.iso20022 import terms as bank_terms
from service import clock, db
from service.console import doors
from service.engine.hub import OPERATOR
from service.models import ActionRequest, ConsoleSession, Order
from service.security import console_session, keyfile
from service.security.keyring import SigningKey
from workflows.entry_terms import Way
from workflows.terms import Role

DOOR = "/v1/iso20022"
# Whatever a page lets a browser ask for: links, forms, scripts, streams.
_ADDRESS = re.compile(r'\b(?:href|src|action|formaction|content|hx-[a-z:-]+)="([^"]*)"')
_OWN = Path(__file__).parents[2]
_STREAMED_WITHIN = 60.0


class Legs:
    """What a flight does with one bird beyond the filing, and what was seen that may hold no person.

    ``letters`` is what of each letter is not its text: its headers, the names in it and its metadata. ``boards`` is the
    live board, whole: it names no person. ``told`` is what commands wrote to a terminal.
    """

    def __init__(self, flight: Flight, served: Served) -> None:
        self.flight, self.api = flight, flight.api
        self._at = f"http://127.0.0.1:{served.port}"
        self._cookies: dict[str, str] = {}
        self.letters: list[str] = []
        self.boards: list[str] = []
        self.told: list[str] = []

    async def start(self) -> None:
        """Let an officer and somebody of the duty desk sit down at the console."""
        for tenant, role in ((worlds.AGENCY, Role.MAKER), (OPERATOR, Role.COORDINATOR)):
            token, digest = console_session.new_session_token()
            await self.api.hub.writer.run(lambda conn, row=(digest, tenant, role): _seat(conn, *row))
            self._cookies[tenant] = f"{doors._COOKIE}={token}"

    async def fly(self, bird: Bird) -> str:
        """Ask whose it is, in each form; call money back; print and look at what came of it. Returns a request's id."""
        asked = [
            await self._disclosed(bird),
            await self._disclosed_by_messages(bird),
            await self._disclosed_by_a_telecom(bird),
            await self._traced(bird),
            await self._traced_by_messages(bird),
        ]
        recall = await self._recalled(bird)
        for request in (*asked, recall):
            await self._letters(request)
            orders = [f"/orders/{order['id']}" for order in await self.api.world.orders(UUID(request))]
            await self._pages(f"/requests/{request}", f"/requests/{request}/approve")
            await self._pages(*orders)
        every = [route.path for route in isolation_walk.pages(self.api.app) if route.method == "GET"]
        await self._pages(*(path for path in every if "{" not in path), "/board?wall=1", "/board?group=done")
        await self._pages(f"/requests/{bird.document}", f"/participants/{bird.document}", "/participants/vietcombank")
        return asked[0]

    async def _asked(self, bird: Bird, target: Mapping[str, str], *data: str) -> tuple[str, str]:
        flight = self.flight
        body = steps.disclose(target, asked=list(data), contact=contact(bird))
        for wrong in ({**body, "asked": [bird.holder]}, {**body, bird.document: [bird.holder]}):
            assert flight.note(await self.api.file(wrong)).status_code >= 400
        request = await flight.filed(body)
        [order] = await self.api.world.orders(UUID(request))
        return request, str(order["id"])

    async def _disclosed(self, bird: Bird) -> str:
        flight, api = self.flight, self.api
        request, order = await self._asked(bird, _account(bird), "holder_name", "holder_document", "contact_phone")
        paper = {"kind": "national_id", "number": bird.document}
        good = {"holder_name": bird.holder, "holder_document": paper, "contact_phone": bird.phone}
        path = f"/v1/orders/{order}/acknowledgements"
        for wrong in (
            {**good, "holder_document": bird.document},
            {**good, "contact_phone": bird.holder},
            {**good, "contact_email": bird.email},
            {**good, bird.holder: bird.document},
        ):
            refused = flight.note(await api.post(path, api.bank, {"outcome": "executed", "disclosed": wrong}))
            assert refused.status_code >= 400
        done = await api.post(path, api.bank, {"outcome": "executed", "disclosed": good})
        assert flight.note(done).status_code == 201, done.text
        for who in (api.police, api.bank, flight.telecom, api.admin):
            read = flight.note(await api.get(f"/v1/requests/{request}/disclosures", who))
            assert (bird.document in read.text) == (who is api.police)
        return request

    async def _disclosed_by_messages(self, bird: Bird) -> str:
        bank = self._bank()
        request, order = await self._asked(bird, _account(bird), "holder_name", "holder_document")
        good = {"holder_name": bird.holder, "holder_document": f"national_id {bird.document}"}
        raw = bank.disclosed(order, account_number=bird.account, **good)
        hidden = raw.replace(b"</", f"<!-- {bird.document} --></".encode(), 1)
        for wrong in (
            raw[:-9],
            hidden,
            raw.replace(b"national_id", bird.phone.encode()),
            bank.disclosed(order, account_number=bird.account, **{**good, "holder_document": bird.document}),
            bank.disclosed(order, account_number=bird.account, **good, contact_phone=bird.phone),
            bank.disclosed(str(uuid4()), account_number=bird.account, **good),
            bank.receipt(bank_terms.reference(order, 1), "PDNG", message_id=f"{bird.account} {bird.holder}"[:35]),
            bank.receipt(bank_terms.reference(order, 1), "RJCT", "NAUT", ported_to=bird.wallet),
            bank.held(bank_terms.reference(order, 1), 7, error=bird.holder[:35]),
            f"<Envelope {bird.social}='{bird.holder}'/>".encode(),
        ):
            assert (await self._message(wrong)).status_code >= 400, wrong
        assert (await self._message(bank.disclosed(order, account_number=bird.account, **good))).status_code == 201
        return request

    async def _followed(self, bird: Bird) -> tuple[str, str]:
        """File a trace of the bird's account, after some that are wrong."""
        flight = self.flight
        body = steps.trace(target=_account(bird), contact=contact(bird))
        window = body["window"]
        for wrong in (
            {**body, "window": {**window, "since": bird.account}},
            {**body, "window": {**window, bird.holder: window["since"]}},
            {**body, "window": {"since": window["until"], "until": window["since"]}},
        ):
            assert flight.note(await self.api.file(wrong)).status_code >= 400
        request = await flight.filed(body)
        [order] = await self.api.world.orders(UUID(request))
        return request, str(order["id"])

    async def _traced(self, bird: Bird) -> str:
        """Money went on to a wallet that is the bird's too: where it went is as much of a secret."""
        flight, api = self.flight, self.api
        request, order = await self._followed(bird)
        good = steps.moved(bird.account)
        line = good["movements"][1]
        other = {**line["counterparty"], "kind": "wallet", "value": bird.wallet}
        path = f"/v1/orders/{order}/acknowledgements"
        for wrong in (
            {**line, "counterparty": {**other, "holder_name": bird.holder}},
            {**line, "counterparty": {**other, "value": bird.holder}},
            {**line, "kind": bird.holder},
            {**line, "at": bird.document},
            {**line, bird.document: bird.holder},
            {**line, "counterparty": other, "at": "2020-01-01T00:00:00Z"},
        ):
            said = {"outcome": "executed", "traced": {**good, "movements": [wrong]}}
            assert flight.note(await api.post(path, api.bank, said)).status_code >= 400
        said = {"outcome": "executed", "traced": {**good, "movements": [line, {**line, "counterparty": other}]}}
        done = await api.post(path, api.bank, said)
        assert flight.note(done).status_code == 201, done.text
        for who in (api.police, api.bank, flight.telecom, api.admin):
            read = flight.note(await api.get(f"/v1/requests/{request}/movements", who))
            assert (bird.wallet in read.text) == (who is api.police)
        await self._pages(f"/requests/{request}/answers", f"/requests/{request}/answers.csv")
        return request

    async def _traced_by_messages(self, bird: Bird) -> str:
        bank = self._bank()
        request, order = await self._followed(bird)
        other = {"kind": "wallet", "value": bird.wallet, "institution": "MoMo"}
        at = steps.moved()["movements"][0]["at"]
        line = Moved("out", (100_000_000, "VND"), at, "transfer", other)

        def said(moved: Moved, about: str = order) -> bytes:
            return bank.traced(about, Traced((moved,), has_more=True), account_number=bird.account)

        raw = said(line)
        for wrong in (
            raw[:-9],
            raw.replace(b"Mvmts", b"Mvmtz"),
            said(replace(line, counterparty={**other, "institution": f"{bird.holder}!"})),
            said(replace(line, at="2020-01-01T00:00:00Z")),
            said(line, str(uuid4())),
        ):
            assert (await self._message(wrong)).status_code >= 400, wrong
        assert (await self._message(said(line))).status_code == 201
        return request

    async def _disclosed_by_a_telecom(self, bird: Bird) -> str:
        telecom = etsi_steps.Telecom(self.api, self.flight.telecom)
        number = {"kind": "phone", "value": bird.phone}
        request, order = await self._asked(bird, number, "holder_name", "holder_document")
        good = {"holder_name": bird.holder, "holder_document": f"national_id {bird.document}"}
        await self._say(telecom, {"GET": {"Identifier": order}})
        for wrong in (
            {"GET": {"Identifier": bird.phone}},
            etsi_steps.deliver(order, **{**good, "holder_document": bird.document}),
            etsi_steps.deliver(order, **good, contact_phone=bird.phone),
            etsi_steps.deliver(order, **good, **{bird.document: bird.holder}),
            {"GET": {"Identifier": order, bird.phone: bird.holder}},
            {"GET": {"Identifier": order}, bird.holder: {}},
            {**etsi_steps.update(order, telecom_terms.DISCLOSURE, "AwaitingDisclosure"), bird.document: {}},
            etsi_steps.deliver(bird.account, **good),
            etsi_steps.update(order, telecom_terms.DISCLOSURE, bird.holder),
            etsi_steps.update(order, telecom_terms.DISCLOSURE, "Rejected", (1, bird.holder)),
        ):
            refused = await self._say(telecom, wrong)
            assert refused.status_code >= 400 or "ErrorInformation" in refused.text, refused.text
        done = await self._say(telecom, etsi_steps.deliver(order, **good))
        assert "DELIVERResponse" in done.text, done.text
        return request

    async def _say(self, telecom: etsi_steps.Telecom, action: Any) -> httpx.Response:
        body = telecom.message(action)
        known = {str(row["id"]) for row in await self.api.world.rows(Order)}
        order = etsi_steps.about(body)
        answer = self.flight.note(await telecom.post(body, telecom.sign(body) if order in known else {}))
        if answer.status_code < 400 and "ErrorInformation" in answer.text:
            # ETSI's protocol says no inside of a 200.
            self.flight.refusals.append(answer)
        return answer

    async def _recalled(self, bird: Bird) -> str:
        payment = {**steps.recall()["payment"], "reference": bird.payment, "end_to_end_id": f"E2E{bird.payment}"}
        body = steps.recall(target=_account(bird), payment=payment, contact=contact(bird))
        for wrong in (
            {**body, "payment": {**payment, "sent_on": bird.payment}},
            {**body, "payment": {**payment, "sender": [bird.holder]}},
            {**body, "payment": {**payment, bird.payment: bird.holder}},
        ):
            assert self.flight.note(await self.api.file(wrong)).status_code >= 400
        request = await self.flight.filed(body)
        [order] = await self.api.world.orders(UUID(request))
        bank = self._bank()
        wrong_state = bank.resolution(str(order["id"]), "RJCR", reason=bird.payment[:4])
        assert (await self._message(wrong_state)).status_code >= 400
        assert (await self._message(bank.resolution(str(order["id"]), "ACCR", steps.ASKED))).status_code == 201
        return request

    def _bank(self) -> Bank:
        key = self.api.world.keys["vietcombank"]
        private: Any = key.private_key
        name = f"B{uuid4().hex[:12]}"
        return Bank(private, key.thumbprint(), hub=self.api.hub.settings.address, at=clock.utc_now(), name=name)

    async def _message(self, raw: bytes) -> httpx.Response:
        headers = {**self.api.bank.headers, "Content-Type": "application/xml"}
        return self.flight.note(await self.api.http.post(DOOR, content=raw, headers=headers))

    async def _letters(self, request: str) -> None:
        """Get each order's letter, in which its target stands: that is no reason to stand in its name."""
        for order in await self.api.world.orders(UUID(request)):
            at_console = {"Cookie": self._cookies[worlds.AGENCY]}
            for answer in (
                await self.api.get(f"/v1/orders/{order['id']}/letter", self.api.police),
                await self.api.http.get(f"/orders/{order['id']}/letter.pdf", headers=at_console),
            ):
                assert self.flight.note(answer).status_code == 200, answer.text
                document = pypdfium2.PdfDocument(answer.content)
                names = [document.get_attachment(place).get_name() for place in range(document.count_attachments())]
                outline = [each.get_title() for each in document.get_toc()]
                metadata = document.get_metadata_dict()
                assert document.get_page(0).get_textpage().get_text_range()
                self.letters.append(json.dumps([names, outline, metadata, _xmp(answer.content)], ensure_ascii=False))

    async def _pages(self, *paths: str) -> None:
        """Look at it where people do: what the pages lead to names nobody, nor does the live board."""
        for cookie in self._cookies.values():
            for path in paths:
                answer = self.flight.note(await self.api.http.get(path, headers={"Cookie": cookie}))
                self.flight.addresses += _ADDRESS.findall(answer.text)
                if path.startswith("/board"):
                    assert answer.status_code == 200 and "HT-" in answer.text
                    self.boards.append(answer.text)

    async def watch(self) -> None:
        """Read what the live board's stream tells, until it has told all of what there is."""
        headers = {"Cookie": self._cookies[OPERATOR], "Accept": "text/event-stream"}
        async with (
            asyncio.timeout(_STREAMED_WITHIN),
            httpx.AsyncClient(base_url=self._at) as http,
            http.stream("GET", "/board/events", headers=headers) as stream,
        ):
            self.flight.headers.append(json.dumps(list(stream.headers.multi_items())))
            async for line in stream.aiter_lines():
                self.boards.append(line)
                if line == "event: alive":
                    break
        assert any("hx-partial" in line for line in self.boards)

    async def import_list(self, birds: list[Bird], folder: Path) -> None:
        """File a list of everybody's numbers and names by the command, which runs as anybody's command does."""
        self._lay_out(birds, folder)
        options = ["--template", "template.json", "--client", self.api.police.id, "--key", "system.jwk"]
        options += ["--officer-key", "officer.jwk", "--hub", self._at]
        before = len(await self.api.world.rows(ActionRequest))
        for more in (["--dry-run"], ["--json"]):
            self.told.append(await self._command(folder, "import", "targets", "list.txt", *options, *more))
        assert len(await self.api.world.rows(ActionRequest)) > before

    def _lay_out(self, birds: list[Bird], folder: Path) -> None:
        folder.mkdir()
        now = clock.utc_now()
        for name, key in (("system", self.api.police.key), ("officer", self.api.world.keys["maker"])):
            private: Any = key.private_key
            lasting = SigningKey.of(private, not_before=now - timedelta(days=1), not_after=now + DAY)
            keyfile.save(lasting, folder / f"{name}.jwk")
        (folder / "template.json").write_text(json.dumps(takedown(birds[0]), ensure_ascii=False), "utf-8")
        lines = [
            line for bird in birds for line in (bird.phone, bird.host, bird.holder, f"{bird.account} {bird.email}")
        ]
        (folder / "list.txt").write_text("\n".join(lines) + "\n", "utf-8")

    async def _command(self, folder: Path, *arguments: str) -> str:
        environment = {**os.environ, "HOATOC_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(_OWN)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.cli", *arguments),
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        assert process.returncode == 0, told.decode()
        return told.decode()


def _account(bird: Bird) -> dict[str, str]:
    return {"kind": "account", "value": bird.account, "institution": "970436", "holder_name": bird.holder}


def _xmp(pdf: bytes) -> str:
    """Return what a letter says of itself in XML, which every reader of files indexes."""
    return "".join(found.decode("utf-8", "replace") for found in re.findall(rb"<x:xmpmeta.*?</x:xmpmeta>", pdf, re.S))


async def _seat(conn: Any, digest: str, tenant: str, role: Role) -> None:
    now = await db.now(conn)
    row = {"digest": bytes.fromhex(digest), "tenant": tenant, "person": f"{role}-person", "role": role}
    row |= {"id": uuid4(), "way": Way.LINK, "browser": "other-other"}
    await db.insert_rows(
        conn, table(ConsoleSession), [{**row, "started_at": now, "seen_at": now, "expires_at": now + DAY}]
    )
