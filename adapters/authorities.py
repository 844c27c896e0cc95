"""What a connection to an endpoint believes and shows: its own authorities, and the hub's certificate for it."""

import ssl
import tempfile

from adapters.base import DeliveryFailed, Endpoint


def context(endpoint: Endpoint) -> ssl.SSLContext:
    """Return the TLS context of an endpoint; raises ``DeliveryFailed`` where its authorities or key are unfit."""
    # Not ssl.create_default_context(): that one writes session keys to the file that SSLKEYLOGFILE names. Nor the
    # system's authorities: whoever sets SSL_CERT_FILE, or runs one of a hundred public ones, could vouch for anybody.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=endpoint.ca_pem)
        if endpoint.client_cert is not None:
            _load_client_certificate(context, *endpoint.client_cert)
    except (ssl.SSLError, OSError, ValueError, TypeError):
        raise DeliveryFailed("tls.configuration") from None
    return context


def is_fault_of_tls(error: BaseException) -> bool:
    """Tell whether TLS is what broke, wherever that was noticed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key_file: str) -> None:
    with tempfile.NamedTemporaryFile(prefix="hoatoc-", suffix=".crt") as file:
        # The library reads files only. The certificate is public; the key stays where it is.
        file.write(certificate.encode())
        file.flush()
        # An empty password: a key that needs one is an error, not a question at some terminal.
        context.load_cert_chain(file.name, key_file, password=b"")
