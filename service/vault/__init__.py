"""The vault: three levels of keys over every personal field, and the blind indexes by which identifiers meet.

A master key (a file, or a key in a PKCS#11 token) wraps the keys of tenants, which wrap the keys of subjects, which
seal fields. The keys of subjects and tenants are rows, read with what they open: nothing opens once a row is destroyed.
"""

from service.errors import Unavailable
from service.vault.masters import FileMasters, MasterMissing, Masters, SealBroken
from service.vault.sealing import Erased, KeyRow, Keys, Vault

# What sealing or opening one field fails with: the last of them where the token has gone.
UNREADABLE = (SealBroken, Erased, MasterMissing, Unavailable)

__all__ = ["UNREADABLE", "Erased", "FileMasters", "KeyRow", "Keys", "MasterMissing", "Masters", "SealBroken", "Vault"]
