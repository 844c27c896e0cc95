"""What an administrator wants an endpoint to be; in force once a different administrator approved exactly that."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from service.models import columns
from workflows.terms import ProposalState


class EndpointProposal(SQLModel, table=True):
    """What an administrator wants an endpoint to be; in force once a different administrator approved exactly that."""

    __tablename__ = "endpoint_proposals"
    __table_args__ = (
        columns.partial_index("uq_endpoint_proposals_open", "endpoint_id", where="state = 'proposed'", unique=True),
        sa.Index("ix_endpoint_proposals_endpoint_id", "endpoint_id"),
        # Two persons with two keys; a proposal made on the hub's own machine has none.
        sa.CheckConstraint(
            "state <> 'approved' OR (decided_by IS NOT NULL AND decided_by <> proposed_by AND decided_key IS NOT NULL"
            " AND (proposed_key IS NULL OR decided_key <> proposed_key))",
            name="approved_by_another",
        ),
    )

    id: UUID = Field(primary_key=True)
    tenant: str = Field(foreign_key="participants.id", max_length=64, index=True)
    endpoint_id: UUID = Field(foreign_key="endpoints.id")
    url: str = Field(max_length=500)
    network: str = Field(max_length=64)
    port: int
    ca_pem: str = Field(sa_type=sa.Text)
    # The hub's own certificate for this participant; its key is a file of each node and never in the database.
    client_certificate: str | None = Field(default=None, sa_type=sa.Text)
    max_in_flight: int
    max_per_second: int | None = None
    timeout_seconds: int
    batch: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    position: int
    # Of the whole definition: engine.definitions.
    sha256: str = Field(max_length=64)
    state: ProposalState = columns.code(ProposalState)
    proposed_by: str = Field(max_length=64)
    # The participant for whom the proposer acted, and the thumbprint of the key that the call was made with.
    proposed_for: str = Field(max_length=64)
    proposed_key: str | None = Field(default=None, max_length=64)
    proposed_at: datetime
    decided_by: str | None = Field(default=None, max_length=64)
    decided_key: str | None = Field(default=None, max_length=64)
    decided_at: datetime | None = None
