"""Writes what a story needs, row by row and fact by fact: real names from the directory, made-up people and cases."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from service import audit, clock, db, models
from service.engine import owing
from service.engine.hub import OPERATOR, Hub
from service.models.subject_key import KeyOwner
from service.vault import KeyRow, subjects
from workflows import policy
from workflows.terms import (
    Action,
    Actor,
    ActorKind,
    DeadlineState,
    Fact,
    LegalBasis,
    Measure,
    OrderState,
    RequestState,
    Sector,
    Stage,
    SubjectKind,
    TargetKind,
    Urgency,
)

AGENCY, FOREIGN = "pa05-79", "pc02-01"
HUB = Actor(ActorKind.HUB, "node-a", OPERATOR)
POLICE = Actor(ActorKind.CLIENT, "pa05-he-thong", AGENCY)

MEMBERS = (
    (OPERATOR, Sector.HUB, "Đơn vị vận hành Hỏa Tốc", "Operator of the Hỏa Tốc hub", "Hỏa Tốc"),
    (
        AGENCY,
        Sector.AGENCY,
        "Phòng An ninh mạng và phòng, chống tội phạm sử dụng công nghệ cao, Công an Thành phố Hồ Chí Minh",
        "Cyber Security and High-Tech Crime Prevention Division, Ho Chi Minh City Police",
        "PA05 CA Thành phố Hồ Chí Minh",
    ),
    (
        FOREIGN,
        Sector.AGENCY,
        "Phòng Cảnh sát hình sự, Công an Thành phố Hà Nội",
        "Criminal Police Division, Ha Noi City Police",
        "PC02 CA Thành phố Hà Nội",
    ),
    ("vietcombank", Sector.BANK, "Ngân hàng TMCP Ngoại Thương Việt Nam", "Vietcombank", "Vietcombank"),
    ("techcombank", Sector.BANK, "Ngân hàng TMCP Kỹ thương Việt Nam", "Techcombank", "Techcombank"),
    ("mbbank", Sector.BANK, "Ngân hàng TMCP Quân đội", "MB Bank", "MBBank"),
    ("acb", Sector.BANK, "Ngân hàng TMCP Á Châu", "ACB", "ACB"),
    ("agribank", Sector.BANK, "Ngân hàng Nông nghiệp và Phát triển Nông thôn Việt Nam", "Agribank", "Agribank"),
    ("bacabank", Sector.BANK, "Ngân hàng TMCP Bắc Á", "BacA Bank", "BacA Bank"),
    ("viettel-isp", Sector.ISP, "Tổng Công ty Viễn thông Viettel (Internet)", "Viettel (Internet)", "Viettel Internet"),
)
OFFICERS = (("cb-101", AGENCY, "dai_uy", "CA-79-101"), ("cb-205", AGENCY, "trung_ta", "CA-79-205"))
FOREIGN_OFFICER = ("cb-301", FOREIGN, "thieu_ta", "CA-01-301")

ACCOUNTS = ("0071009990001", "19030009990002", "0360009990003", "0004009990004", "1500009990005")
HOLDERS = ("NGUYEN VAN THU", "TRAN THI THU", "LE VAN THU", "PHAM THI THU", "HOANG VAN THU")
HOSTS = tuple(f"trung-thuong-{number:03}.example" for number in range(1, 101))


def table(model: Any) -> sa.Table:
    """Return a model's table."""
    made: sa.Table = model.__table__
    return made


class Teller:
    """Writes requests with their orders and clocks, and records facts at instants of the past."""

    def __init__(self, conn: AsyncConnection, hub: Hub, now: datetime) -> None:
        self._conn = conn
        self._vault = hub.vault
        self._facts: list[tuple[datetime, int, UUID, Fact, Actor, str, dict[str, Any]]] = []
        self.now = now

    async def insert(self, model: Any, **values: Any) -> None:
        """Insert one row."""
        await db.insert_rows(self._conn, table(model), [values])

    async def members(self) -> None:
        """Write the participants and officers."""
        since = datetime(2026, 1, 1, tzinfo=UTC)
        for key, sector, vi, en, short in MEMBERS:
            await self.insert(
                models.Participant,
                id=key,
                sector=sector,
                name_vi=vi,
                name_en=en,
                short_name=short,
                status="active",
                to_be_confirmed=True,
                created_at=since,
            )
        for key, tenant, rank, number in (*OFFICERS, FOREIGN_OFFICER):
            await self.insert(
                models.Officer,
                id=key,
                tenant=tenant,
                name_sealed=self._vault.seal(
                    await subjects.of_subject(self._conn, self._vault, tenant, KeyOwner.OFFICER, key),
                    "officers",
                    key,
                    "Nguyễn Văn Thử",
                ),
                rank=rank,
                number=number,
                powers=["order", "approve"],
                active=True,
                created_at=since,
            )

    async def request(
        self,
        reference: str,
        at: datetime,
        *,
        state: RequestState = RequestState.ACTIVE,
        action: Action = Action.FREEZE,
        urgency: Urgency = Urgency.HOA_TOC,
        amount: int | None = 150_000_000,
        targets: Sequence[tuple[TargetKind, str, str | None]] = (),
        tenant: str = AGENCY,
        **values: Any,
    ) -> tuple[UUID, list[UUID]]:
        """Write a request with its case and targets; return its id and theirs."""
        request_id, case_id = clock.new_id(), clock.new_id()
        officer = OFFICERS[0][0] if tenant == AGENCY else FOREIGN_OFFICER[0]
        number = f"{reference[-3:]}/2026/CSĐT"
        sealing = await subjects.of_request(self._conn, self._vault, tenant, request_id)
        await self.insert(models.Case, id=case_id, tenant=tenant, number=number, opened_at=at)
        row = {
            "id": request_id,
            "tenant": tenant,
            "case_id": case_id,
            "reference": reference,
            "action": action,
            "state": state,
            "urgency": urgency,
            "legal_basis": LegalBasis.DECREE_52_11 if action is Action.FREEZE else LegalBasis.DECREE_147,
            "authority_rule": "decree_52_11",
            "client_id": "pa05-he-thong",
            "officer_id": officer,
            "approvals_needed": 2,
            "measure": Measure.BLOCK if action is Action.TAKEDOWN else None,
            "amount": amount,
            "currency": "VND" if amount else None,
            "whole_account": False,
            "document_number": f"{reference[-3:]}/QĐ-PA05",
            "document_date": at.date(),
            "document_sha256": "9f2c41d07be35a68" * 4,
            "contact_sealed": self._vault.seal(sealing, "requests", request_id, "{}"),
            "starts_at": at,
            "ends_at": at + timedelta(hours=72) if action is Action.FREEZE else None,
            "body_sealed": self._vault.seal(sealing, "requests", request_id, "{}"),
            "body_sha256": "0" * 64,
            "submitted_at": at,
            "policy": policy.to_snapshot(policy.loads("vn-default")),
            "activated_at": at + timedelta(minutes=2) if state is not RequestState.AWAITING_APPROVAL else None,
        }
        await self.insert(models.ActionRequest, **{**row, **values})
        made = [await self._target(sealing, request_id, place, *target) for place, target in enumerate(targets)]
        return request_id, made

    async def _target(
        self, sealing: KeyRow, request_id: UUID, position: int, kind: TargetKind, value: str, holder: str | None
    ) -> UUID:
        key = clock.new_id()
        await self.insert(
            models.Target,
            id=key,
            tenant=sealing.tenant,
            request_id=request_id,
            position=position,
            kind=kind,
            value_sealed=self._vault.seal(sealing, "targets", key, value),
            value_index=self._vault.blind_index(sealing.tenant, kind, value),
            holder_sealed=self._vault.seal(sealing, "targets", key, holder) if holder else None,
            intimate=False,
        )
        return key

    async def approve(self, request_id: UUID, at: datetime) -> None:
        """Write the second officer's approval of a request, without which the database takes no hold."""
        await self.insert(
            models.Approval,
            id=clock.new_id(),
            tenant=AGENCY,
            request_id=request_id,
            officer_id=OFFICERS[1][0],
            client_id="pa05-he-thong",
            kind="approval",
            body_sha256="0" * 64,
            approved_at=at,
        )

    async def close(self, request_id: UUID, at: datetime) -> None:
        """Close a request that was active: the database takes no orders of one that is closed."""
        requests = table(models.ActionRequest)
        closed = sa.update(requests).where(requests.c.id == request_id)
        await self._conn.execute(closed.values(state=RequestState.CLOSED, closed_at=at))

    async def order(
        self, request_id: UUID, target_id: UUID, participant_id: str, state: OrderState, at: datetime, **values: Any
    ) -> UUID:
        """Write an order."""
        order_id = clock.new_id()
        row = {
            "id": order_id,
            "tenant": AGENCY,
            "participant_id": participant_id,
            "request_id": request_id,
            "target_id": target_id,
            "action": Action.FREEZE,
            "state": state,
            "sequence": 1,
            "subject_index": self._vault.blind_index(participant_id, "account", str(target_id)),
            "amount": 150_000_000,
            "ends_at": at + timedelta(hours=72) if values.get("action", Action.FREEZE) is Action.FREEZE else None,
            "lift_ordered": False,
            "placed_at": at,
            "delivered_at": at + timedelta(seconds=1),
            "changed_at": at,
        }
        await self.insert(models.Order, **{**row, **values})
        return order_id

    async def clock(
        self,
        request_id: UUID,
        order_id: UUID,
        participant_id: str,
        stage: Stage,
        at: datetime,
        within: timedelta,
        state: DeadlineState,
        rung: int = 0,
    ) -> int:
        """Write a deadline and return its id."""
        await self.insert(
            models.Deadline,
            tenant=AGENCY,
            subject_kind=SubjectKind.ORDER if order_id != request_id else SubjectKind.REQUEST,
            subject_id=order_id,
            request_id=request_id,
            participant_id=participant_id or None,
            chain=audit.request_chain(request_id),
            stage=stage,
            rung=rung,
            generation=0,
            started_at=at,
            due_at=at + within,
            state=state,
        )
        await owing.renew(self._conn, [order_id])
        return int((await self._conn.execute(sa.text("SELECT max(id) FROM deadlines"))).scalar_one())

    async def tell(
        self, request_id: UUID, at: datetime, fact: Fact, actor: Actor = HUB, tenant: str = AGENCY, **data: Any
    ) -> None:
        """Note one fact; ``flush`` records them in the order in which they happened."""
        self._facts.append((at, len(self._facts), request_id, fact, actor, tenant, data))

    async def flush(self) -> None:
        """Record the noted facts on their requests' chains."""
        for at, _, request_id, fact, actor, tenant, data in sorted(self._facts, key=lambda noted: noted[:2]):
            chain = audit.request_chain(request_id)
            log = await audit.Log.open(self._conn, at, [chain])
            log.record(chain, fact, actor, tenant, request_id=request_id, **data)
            await log.flush()


def bank(participant_id: str) -> Actor:
    """Return a participant's client system."""
    return Actor(ActorKind.CLIENT, f"{participant_id}-he-thong", participant_id)
