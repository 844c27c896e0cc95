"""Which adapter speaks on which channel; the only file that knows them all."""

from collections.abc import Mapping
from types import MappingProxyType

from adapters.base import Adapter, DeliveryFailed
from adapters.etsi.adapter import Etsi
from adapters.iso20022.adapter import Iso20022
from adapters.notice import Mail
from adapters.webhook import Webhook
from workflows.terms import Channel


class Adapters:
    """The adapters of this hub: webhook and ETSI always, ISO 20022 with a key to sign, e-mail with a relay.

    A participant on the pull channel fetches its orders itself, so nothing speaks on that channel.
    """

    def __init__(self, webhook: Webhook, mail: Mail | None = None, iso20022: Iso20022 | None = None) -> None:
        known: dict[Channel, Adapter] = {Channel.WEBHOOK: webhook}
        known[Channel.ETSI] = Etsi(webhook.source, webhook.clock)
        if mail is not None:
            known[Channel.EMAIL] = mail
        if iso20022 is not None:
            known[Channel.ISO20022] = iso20022
        self._known: Mapping[Channel, Adapter] = MappingProxyType(known)

    def of(self, channel: Channel) -> Adapter:
        """Return the adapter; raises ``DeliveryFailed("channel.unavailable")`` where nothing can be sent."""
        try:
            return self._known[channel]
        except KeyError:
            raise DeliveryFailed("channel.unavailable") from None
