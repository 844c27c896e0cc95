"""The key files as one sealed file that either of two recipients opens, to be kept apart from the database's backup."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from service import files
from service.backup import recipients

NAME = "keys.p7m"


def seal(keys: Path, folder: Path, certificates: Sequence[Path]) -> Path:
    """Write all key files, sealed to the recipients' certificates (CMS, AES-256), into ``folder``; return the file.

    A recipient opens it with ``openssl cms -decrypt -inform DER -in keys.p7m -inkey own.key | tar x``. Raises
    ``BackupUnfit`` for fewer than two different recipients, or a key that is no RSA key of 3072 bits.
    """
    sealed = recipients.seal(_packed(keys), recipients.read(certificates))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / NAME
    files.new_file(path, sealed)
    files.sync_folder(folder)
    return path


def _packed(keys: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(keys.iterdir()):
            if path.is_file():
                archive.add(path, arcname=path.name)
    return packed.getvalue()
