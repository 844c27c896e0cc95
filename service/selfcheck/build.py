"""Looks at what runs: the token library and its backend, Python and OpenSSL, and the packages against the lock."""

import platform
import ssl
import sys
from collections.abc import Iterator

from cryptography.hazmat.backends.openssl.backend import backend

from service.security import tokens
from service.selfcheck.check import Check, failed, grave, ok, unknown
from service.supply import installed, lock
from service.supply.lock import LockUnfit

_OLDEST_PYTHON = (3, 11)
_OLDEST_OPENSSL = (3, 0)
_SHOWN = 5


def token_backend() -> Check:
    """Say whether tokens are verified by the library and the arithmetic that were chosen."""
    try:
        tokens.assert_backend()
    except RuntimeError as wrong:
        return grave("token.backend", "wrong", why=str(wrong))
    return ok("token.backend")


def versions() -> Iterator[Check]:
    """Say which Python and which OpenSSL run: Python's own speaks TLS, the package cryptography's computes."""
    python = ok if sys.version_info >= _OLDEST_PYTHON else failed
    yield python("python", "ok" if python is ok else "old", version=platform.python_version())
    openssl = ok if ssl.OPENSSL_VERSION_INFO >= _OLDEST_OPENSSL else failed
    says = "ok" if openssl is ok else "old"
    yield openssl("openssl", says, tls=ssl.OPENSSL_VERSION, computing=backend.openssl_version_text())


def packages() -> Iterator[Check]:
    """Say whether exactly the locked packages are installed, and whether their files are as they were installed."""
    try:
        pins = lock.pins()
    except (OSError, LockUnfit):
        yield unknown("packages", "no_lock", path=str(lock.LOCK))
        return
    differing = installed.differing(pins)
    if differing:
        yield failed("packages", "differ", count=len(differing), which="; ".join(differing[:_SHOWN]))
    else:
        yield ok("packages", count=len([pin for pin in pins if pin.applies]))
    altered = installed.altered(pins)
    if altered:
        yield failed("files", "altered", count=len(altered), which=", ".join(altered[:_SHOWN]))
    else:
        yield ok("files")
