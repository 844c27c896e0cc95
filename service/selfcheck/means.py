"""Looks at the settings: default secrets, the issuer, the profile, what is open to strangers or may be read by them."""

import ipaddress
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from service.selfcheck import published
from service.selfcheck.check import Check, failed, grave, ok, warning
from service.settings import Settings

# Names that nobody owns (RFC 2606, RFC 6761); a label "example" is the placeholder of our own pages.
_NOBODYS = frozenset({"example", "test", "invalid", "localhost", "local"})
_LOCAL = frozenset({"", "localhost"})


def before_start(chosen: Settings) -> Iterator[Check]:
    """Look at everything about the settings that can be wrong without being looked up elsewhere."""
    yield from _secrets(chosen)
    yield _issuer(chosen)
    yield _exposure(chosen)
    yield _debugging(chosen)
    yield from _environment_file()
    yield from _database(chosen)
    yield from _mail(chosen)
    yield _own_networks(chosen)


def profile(chosen: Settings) -> Check:
    """Say which profile this is."""
    return warning("profile", "demo") if chosen.profile == "demo" else ok("profile")


def mail(chosen: Settings) -> Check:
    """Say over which relay notices leave."""
    if chosen.smtp_host is None:
        return warning("mail", "off")
    return ok("mail", host=chosen.smtp_host, port=chosen.smtp_port, tls=chosen.smtp_tls)


def fit_for_production(chosen: Settings) -> Iterator[Check]:
    """Say whether this is an installation for real orders at all."""
    yield failed("production", "demo") if chosen.profile == "demo" else ok("production")
    yield failed("edition", "embedded") if chosen.embedded else ok("edition")


def _secrets(chosen: Settings) -> Iterator[Check]:
    found = []
    for field in type(chosen).model_fields:
        value = getattr(chosen, field)
        if isinstance(value, str) and "://" in value and (password := sa.make_url(value).password):
            found.append((field, str(password), (str(sa.make_url(value).username or ""),)))
    if chosen.smtp_password is not None:
        found.append(("smtp_password", chosen.smtp_password.get_secret_value(), (chosen.smtp_user or "",)))
    if chosen.oidc_client_secret is not None:
        found.append(
            ("oidc_client_secret", chosen.oidc_client_secret.get_secret_value(), (chosen.oidc_client_id or "",))
        )
    for field, secret, names in found:
        setting = f"HOATOC_{field.upper()}"
        if published.is_placeholder(secret, *names):
            yield grave("secret", "default", setting=setting)
        elif published.is_short(secret):
            yield failed("secret", "short", setting=setting, least=published.LEAST_LENGTH)
        else:
            yield ok("secret", setting=setting)


def _issuer(chosen: Settings) -> Check:
    parts = urlsplit(chosen.address)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return grave("issuer", "plain", issuer=chosen.address)
    if is_local(host):
        return grave("issuer", "loopback", issuer=chosen.address)
    if _NOBODYS & {*host.split(".")}:
        return grave("issuer", "placeholder", issuer=chosen.address)
    return ok("issuer", issuer=chosen.address)


def _exposure(chosen: Settings) -> Check:
    if is_local(chosen.host):
        return ok("listening", host=chosen.host, port=chosen.port)
    if chosen.profile == "demo":
        # Its participants live on loopback ports and its clocks run in seconds: nobody else may reach it.
        return grave("listening", "demo", host=chosen.host)
    return warning("listening", "open", host=chosen.host, port=chosen.port)


def _debugging(chosen: Settings) -> Check:
    on = [
        name
        for name, is_on in (
            ("python -X dev", sys.flags.dev_mode),
            ("python -i", sys.flags.inspect or bool(os.environ.get("PYTHONINSPECT"))),
            ("PYTHONASYNCIODEBUG", bool(os.environ.get("PYTHONASYNCIODEBUG"))),
        )
        if is_on
    ]
    if on:
        return grave("debugging", "on", what=", ".join(on))
    return warning("debugging", "log") if chosen.log_level == "debug" else ok("debugging")


def _environment_file() -> Iterator[Check]:
    name = os.environ.get("HOATOC_ENV_FILE")
    if name is None:
        return
    path = Path(name)
    if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield grave("environment", "readable", path=name, mode=f"{stat.S_IMODE(path.stat().st_mode):04o}")
    else:
        yield ok("environment", path=name)


def _database(chosen: Settings) -> Iterator[Check]:
    if chosen.embedded:
        return
    url = sa.make_url(chosen.url)
    is_verified = url.query.get("ssl") in {"verify-ca", "verify-full"}
    # Behind a socket of this machine nobody listens in.
    if is_local(url.host or "") or (url.host or "").startswith("/") or is_verified:
        yield ok("database.tls")
    else:
        yield warning("database.tls", "unverified")


def _mail(chosen: Settings) -> Iterator[Check]:
    if chosen.smtp_host is None:
        return
    if chosen.smtp_tls == "none" and chosen.smtp_password is not None:
        yield grave("mail.tls", "password_in_clear")
    elif chosen.smtp_tls == "none":
        yield warning("mail.tls", "clear")
    else:
        yield ok("mail.tls", tls=chosen.smtp_tls)
    if chosen.mail_from.rpartition("@")[2] in _NOBODYS:
        yield warning("mail.sender", "placeholder", sender=chosen.mail_from)


def _own_networks(chosen: Settings) -> Check:
    if not chosen.own_networks:
        return warning("own_networks", "none")
    return ok("own_networks", networks=", ".join(chosen.own_networks))


def is_local(host: str) -> bool:
    """Tell whether a host's name or address is this machine's own."""
    if host in _LOCAL or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
