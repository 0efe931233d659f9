"""TLS of connections that we make."""

from __future__ import annotations

import ssl

from stenograde.errors import ConfigError
from stenograde.pacs.settings import Tls


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return what a connection is made with: we show our certificate, and theirs must be signed by the authorities.

    Without authorities, those of the system are asked.

    Raises
    ------
    ConfigError
        If a file is missing or is none that it should be.
    """
    try:
        authorities = str(tls.authorities) if tls.authorities else None
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # PS3.15 B.12 (BCP 195)
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ssl.SSLError) as exc:
        msg = f"tls must name a certificate, a key and authorities as PEM files, got {type(exc).__name__}"
        raise ConfigError(msg) from exc
    return context
