"""What an operator may set: environment variables with the prefix HOATOC_, or a file named by HOATOC_ENV_FILE."""

import ipaddress
import os
import socket
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# On one machine, where no names are served: the second address of its loopback.
DRILL_ADDRESS = "127.0.0.2"
_DRILL_LABELS = frozenset({"drill", "dientap"})


def names_a_drill(address: str) -> bool:
    """Tell whether a hub's public address says that it is a drill's."""
    host = (urlsplit(address).hostname or "").rstrip(".")
    return host == DRILL_ADDRESS or not _DRILL_LABELS.isdisjoint(host.split("."))


class Settings(BaseSettings):
    """The settings of one node; the defaults are the embedded edition on one machine."""

    model_config = SettingsConfigDict(
        env_prefix="HOATOC_", env_file=os.environ.get("HOATOC_ENV_FILE"), extra="forbid", frozen=True
    )

    data_dir: Path = Field(default=Path("var"), description="where the embedded database and the key files live")
    database_url: str | None = Field(
        default=None, description="postgresql+asyncpg://… for production; unset: SQLite in data_dir"
    )
    migration_url: str | None = Field(
        default=None,
        description="the login that owns the tables, for `hoatoc db upgrade` alone; unset: HOATOC_DATABASE_URL's",
    )
    drill: bool = Field(
        default=False,
        description="this is a hub for exercises, with data and an address of its own; every order and page says so",
    )
    profile: Literal["production", "demo"] = Field(
        default="production", description="demo lets sandbox participants live on loopback ports"
    )
    host: str = Field(default="127.0.0.1", description="where the hub listens; production puts TLS in front")
    port: int = Field(default=8470, ge=1, le=65535)
    health_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="where `hoatoc worker`, which has no other door, tells its health and figures; unset: nowhere",
    )
    issuer: str = Field(default="", description="the hub's public address and token issuer; unset: http://host:port")
    policy: str = Field(default="vn-default", description="the escalation policy of requests filed from now on")
    node: str = Field(default_factory=socket.gethostname, description="this node's name in leases and logs")
    own_networks: tuple[str, ...] = Field(
        default=(), description="the hub's own subnets as a JSON list of CIDRs: no endpoint is ever registered in them"
    )
    proxies: tuple[str, ...] = Field(
        default=(),
        description="the proxies in front as a JSON list of CIDRs: they alone are believed for whom they call",
    )
    address_per_second: int = Field(
        default=400, ge=20, le=100_000, description="calls a second of one address, in a minute 30 times as many"
    )
    leave_within: float = Field(
        default=0, ge=0, le=60, description="seconds from SIGTERM, in which the node is not ready, to its last new call"
    )
    smtp_host: str | None = Field(default=None, description="the relay for notices by e-mail; unset: e-mail is off")
    smtp_port: int = 25
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_tls: Literal["none", "starttls", "tls"] = "starttls"
    mail_from: str = "hoatoc@localhost"
    oidc_issuer: str | None = Field(
        default=None, description="the identity provider at which people sign in, by its issuer; unset: there is none"
    )
    oidc_client_id: str | None = Field(default=None, description="how the provider knows this hub")
    oidc_client_secret: SecretStr | None = Field(default=None, description="what this hub shows the provider")
    oidc_network: str | None = Field(
        default=None, description="the CIDR in which the provider's address lies: nothing else is called in its name"
    )
    oidc_ca_file: Path | None = Field(
        default=None, description="the only certificate authorities that the provider's certificate may come from (PEM)"
    )
    oidc_scopes: tuple[str, ...] = Field(default=("openid",), description="what is asked for, as a JSON list")
    oidc_claim: str = Field(default="sub", description="the member of the ID token by which people are linked")
    oidc_acr: tuple[str, ...] = Field(
        default=(), description="the acr values of which a sign-in must have one, as a JSON list"
    )
    oidc_amr: tuple[str, ...] = Field(
        default=(), description='the amr values that a sign-in must have, all of them, as ["mfa"]'
    )
    sign_in_by_links: bool = Field(default=True, description="whether single-use links open the console")
    sign_in_by_passkeys: bool | None = Field(
        default=None,
        description="whether people may make passkeys and sign in with them; unless told, only without a provider",
    )
    pkcs11_module: Path | None = Field(
        default=None, description="the token's library, for a vault whose master key never leaves a PKCS#11 token"
    )
    pkcs11_token: str | None = Field(default=None, description="the token's label")
    pkcs11_pin_file: Path | None = Field(default=None, description="a file of mode 0400 with the token's PIN")
    database_pool: int = Field(default=10, ge=2, le=200)
    worker_pool: int = Field(
        default=6, ge=4, le=50, description="connections of the worker's own, which no rush at the doors takes from it"
    )
    in_flight: int = Field(default=400, ge=1, description="the most dispatches that this node sends at one time")
    certification: Literal["required", "optional"] | None = Field(
        default=None,
        description="whether an endpoint for orders needs a certification; unset: required, in demo and drill optional",
    )
    certification_days: int = Field(default=365, ge=1, le=3650, description="how long a certification counts")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _whole_token(self) -> "Settings":
        named = (self.pkcs11_module, self.pkcs11_token, self.pkcs11_pin_file)
        if any(named) and not all(named):
            raise ValueError("a token is named by pkcs11_module, pkcs11_token and pkcs11_pin_file together")
        return self

    @model_validator(mode="after")
    def _whole_provider(self) -> "Settings":
        """Take a provider that is named whole, or none: half of one would be found out by whoever signs in first."""
        named = (self.oidc_issuer, self.oidc_client_id, self.oidc_client_secret, self.oidc_network, self.oidc_ca_file)
        if any(named) and not all(named):
            raise ValueError(
                "a provider is named by oidc_issuer, oidc_client_id, oidc_client_secret, oidc_network and oidc_ca_file"
            )
        if self.oidc_issuer is not None:
            parts = urlsplit(self.oidc_issuer)
            if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
                raise ValueError("oidc_issuer is an https address without user, query and fragment")
            if "openid" not in self.oidc_scopes:
                raise ValueError("oidc_scopes has openid in it")
        if self.oidc_network is not None:
            ipaddress.ip_network(self.oidc_network)
        return self

    @model_validator(mode="after")
    def _said_by_its_address(self) -> "Settings":
        """Refuse a drill at an address that could be the real hub's, and the other way round (ADR 0064).

        The address is in every token, proof and signature: what was made for one is then never good at the other.
        """
        if names_a_drill(self.address) == self.drill:
            return self
        if self.drill:
            raise ValueError(
                "the address of a drill says so: drill or dientap is a label of HOATOC_ISSUER's host name,"
                f" or HOATOC_HOST is {DRILL_ADDRESS}; found {self.address}"
            )
        raise ValueError(
            f"{self.address} is the address of a drill, and HOATOC_DRILL is not set;"
            " a drill of an earlier build is laid out anew: hoatoc drill prepare"
        )

    @field_validator(
        *(
            "certification",
            "health_port",
            "oidc_issuer",
            "oidc_client_id",
            "oidc_client_secret",
            "oidc_network",
            "oidc_ca_file",
            "smtp_host",
            "database_url",
            "migration_url",
            "pkcs11_module",
            "pkcs11_token",
            "pkcs11_pin_file",
        ),
        mode="before",
    )
    @classmethod
    def _unset(cls, value: str | None) -> str | None:
        """Take an empty variable, as compose files pass it, for one that is not set."""
        return value or None

    @field_validator("proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no network, and a network that is everybody."""
        for each in value:
            if ipaddress.ip_network(each).prefixlen == 0:
                raise ValueError("everybody is no proxy")
        return value

    @field_validator("own_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no network at the start: a slip here would open the hub's own to whoever registers it."""
        for network in value:
            ipaddress.ip_network(network)
        return value

    @property
    def url(self) -> str:
        """The database's URL with an asynchronous driver."""
        if self.database_url:
            return self.database_url
        return f"sqlite+aiosqlite:///{(self.data_dir / 'hoatoc.sqlite3').resolve()}"

    @property
    def owner_url(self) -> str:
        """The URL with the login that owns the tables: it brings the schema up to date and does nothing else."""
        return self.migration_url or self.url

    @property
    def embedded(self) -> bool:
        """Tell whether this node keeps its database in a file of its own (one process, one agency's trial)."""
        return self.url.startswith("sqlite")

    @property
    def takes_passkeys(self) -> bool:
        """Tell whether passkeys sign in: a provider's word on who may come is not asked again at each of them."""
        return self.oidc_issuer is None if self.sign_in_by_passkeys is None else self.sign_in_by_passkeys

    @property
    def certification_required(self) -> bool:
        """Tell whether an endpoint for orders comes into force only with a certification."""
        if self.certification is not None:
            return self.certification == "required"
        # A drill is where one practises for it.
        return self.profile == "production" and not self.drill

    @property
    def address(self) -> str:
        """The hub's address as clients write it, which is also the ``iss`` and ``aud`` of its tokens."""
        return self.issuer or f"http://{self.host}:{self.port}"

    @property
    def keys_dir(self) -> Path:
        """The folder of the key files, each of mode 0400; a drill never opens the real hub's."""
        return self.data_dir / ("drill-keys" if self.drill else "keys")
