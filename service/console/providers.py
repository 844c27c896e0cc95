"""Makes the identity provider of the settings: at its own network, under its own authority, and nowhere else."""

from adapters import targets
from adapters.base import Endpoint
from adapters.openid.provider import Provider, Registered
from adapters.transport import Transport
from service.settings import Settings
from workflows.terms import Channel

BACK = "/sign-in/provider/back"
_WITHIN = 5.0  # seconds: somebody waits in front of a page


def of(chosen: Settings) -> Provider | None:
    """Return the provider, or None where the settings name none. Raises ``OSError`` and ``ValueError``.

    It is the operator's own choice, so it may live in the hub's own networks and on its own machine, where no
    participant may: the CIDR of the settings is all that is called.
    """
    if (
        chosen.oidc_issuer is None
        or chosen.oidc_client_id is None
        or chosen.oidc_client_secret is None
        or chosen.oidc_ca_file is None
    ):
        return None
    registered = Registered(
        issuer=chosen.oidc_issuer,
        client_id=chosen.oidc_client_id,
        secret=chosen.oidc_client_secret.get_secret_value(),
        back=f"{chosen.address}{BACK}",
        endpoint=Endpoint(
            id="identity-provider",
            channel=Channel.WEBHOOK,
            url=chosen.oidc_issuer,
            network=chosen.oidc_network,
            port=targets.parse(chosen.oidc_issuer).port,
            ca_pem=chosen.oidc_ca_file.read_text("ascii"),
            timeout=_WITHIN,
        ),
        scopes=chosen.oidc_scopes,
        claim=chosen.oidc_claim,
        acr=chosen.oidc_acr,
        amr=chosen.oidc_amr,
    )
    return Provider(registered, Transport(allow_loopback=True, is_own=lambda _: False))
