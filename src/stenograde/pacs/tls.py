"""TLS: who we are, and who may connect or be connected to."""

from __future__ import annotations

import ssl

from stenograde.errors import ConfigError
from stenograde.pacs.settings import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """Return what a port encrypts by; with authorities, a client must show a certificate that one of them has signed.

    Raises
    ------
    ConfigError
        If a file cannot be read, or holds no certificate or key that fits.
    """
    context = _context(ssl.Purpose.CLIENT_AUTH, tls)
    if tls.authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return what a connection is made with: we show our certificate, and theirs must be signed by the authorities.

    Without authorities, those of the system are asked.

    Raises
    ------
    ConfigError
        If a file cannot be read, or holds no certificate or key that fits.
    """
    return _context(ssl.Purpose.SERVER_AUTH, tls)


def _context(purpose: ssl.Purpose, tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(purpose, cafile=tls.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # PS3.15 B.12 (BCP 195)
        # (a key that is locked would ask for its password on the terminal)
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    except (OSError, ValueError) as exc:  # (an SSLError is an OSError)
        reason = getattr(exc, "reason", None) or getattr(exc, "strerror", None) or type(exc).__name__
        msg = f"certificate, key and authorities must be PEM files that fit together, got {reason}"
        raise ConfigError(msg) from exc
    return context
