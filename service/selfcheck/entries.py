"""Looks at how people sign in: whether there is an identity provider, and whether it must have seen a second factor."""

from collections.abc import Iterator

from service.selfcheck.check import Check, failed, ok, warning
from service.settings import Settings


def look(chosen: Settings) -> Iterator[Check]:
    """Say by which ways people come in to the console; links alone are for one box, and said to be."""
    ways = {
        "provider": chosen.oidc_issuer is not None,
        "passkeys": chosen.takes_passkeys,
        "links": chosen.sign_in_by_links,
    }
    named = ", ".join(name for name, is_on in ways.items() if is_on)
    yield ok("sign_in.ways", ways=named) if named else failed("sign_in.ways", "none")
    if chosen.oidc_issuer is None or chosen.oidc_ca_file is None:
        yield warning("sign_in.provider", "none")
    elif not chosen.oidc_ca_file.is_file():
        yield failed("sign_in.provider", "unreadable", path=chosen.oidc_ca_file)
    elif not (chosen.oidc_acr or chosen.oidc_amr):
        yield warning("sign_in.provider", "no_mfa")
    else:
        yield ok("sign_in.provider", issuer=chosen.oidc_issuer)
