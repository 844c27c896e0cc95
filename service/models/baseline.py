"""What is usual for an officer, an agency or a pair: the 99th percentile of the busy hours of the last 30 days."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import BoundKind, BoundSubject


class Baseline(SQLModel, table=True):
    """What is usual for an officer, an agency or a pair: the 99th percentile of the busy hours of the last 30 days."""

    __tablename__ = "baselines"
    __table_args__ = (sa.PrimaryKeyConstraint("tenant", "subject_kind", "subject", "kind"),)

    tenant: str = Field(foreign_key="participants.id", max_length=64)
    subject_kind: BoundSubject = columns.code(BoundSubject)
    # The officer's or agency's id, or both officers' ids of a pair, sorted, with "+" between.
    subject: str = Field(max_length=130)
    kind: BoundKind = columns.code(BoundKind)
    p99_count: int
    p99_amount: int = Field(sa_type=sa.BigInteger)
    # How many hours with at least one request it was learnt from, and since when there is any history.
    hours: int
    since: datetime
    learned_at: datetime
