"""That this database was restored from a backup: until a person releases it, it sends nothing and fires nothing."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel


class Restoration(SQLModel, table=True):
    """That this database was restored from a backup: until a person releases it, it sends nothing and fires nothing."""

    __tablename__ = "restorations"

    id: UUID = Field(primary_key=True)
    # The database's own instant at which it was copied, and the digest of the backup's manifest.
    backup_at: datetime
    manifest_sha256: str = Field(max_length=64)
    restored_by: str = Field(max_length=80)
    restored_at: datetime
    released_by: str | None = Field(default=None, max_length=80)
    released_at: datetime | None = None
