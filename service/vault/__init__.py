"""The vault: three levels of keys over every personal field, and the blind indexes by which identifiers meet.

A master key (a file, or a key in a PKCS#11 token) wraps the keys of tenants, which wrap the keys of subjects, which
seal fields. The keys of subjects and tenants are rows, read with what they open: nothing opens once a row is destroyed.
"""

from service.vault.masters import FileMasters, MasterMissing, Masters, SealBroken
from service.vault.sealing import Erased, KeyRow, Keys, Vault

__all__ = ["Erased", "FileMasters", "KeyRow", "Keys", "MasterMissing", "Masters", "SealBroken", "Vault"]
