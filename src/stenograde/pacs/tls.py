"""TLS of the ports: who we are, and who may connect."""

from __future__ import annotations

import ssl

from stenograde.errors import ConfigError
from stenograde.pacs.settings import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return what a port encrypts by: TLS 1.2 or later, with the client's certificate where authorities are set.

    Raises
    ------
    ConfigError
        If a file cannot be read, or holds no certificate or key that fits.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # (a key that is locked would ask for its password on the terminal)
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
        if tls.authorities is not None:
            context.load_verify_locations(tls.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as exc:  # (an SSLError is an OSError)
        reason = getattr(exc, "reason", None) or getattr(exc, "strerror", None) or type(exc).__name__
        msg = f"certificate, key and authorities must be PEM files that fit together, got {reason}"
        raise ConfigError(msg) from exc
    return context
