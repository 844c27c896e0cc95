"""Facts of one chain that follow each other and are in an archive alone: their numbers, and the hashes at both ends."""

from sqlmodel import Field, SQLModel


class FactRun(SQLModel, table=True):
    """Facts of one chain that follow each other and are in an archive alone: numbers, and the hashes at both ends.

    It stands in their place when a chain is verified: what comes after them is still bound to what came before.
    """

    __tablename__ = "fact_runs"

    chain: str = Field(primary_key=True, max_length=80)
    first: int = Field(primary_key=True)
    last: int
    tenant: str = Field(max_length=64)
    month: str = Field(foreign_key="fact_archives.month", index=True, max_length=7)
    # The hash before the first of them, and that of the last.
    previous: bytes
    hash: bytes
