"""TLS of both sides: files that do not fit are refused in words, and nobody is asked for a password."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.dicom_peers import make_certificates

from stenograde.errors import ConfigError
from stenograde.pacs.settings import Tls
from stenograde.pacs.tls import client_context, server_context

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")

Context = Callable[[Tls], ssl.SSLContext]


@pytest.mark.parametrize("context", [client_context, server_context])
def test_key_that_is_locked_is_refused_without_asking(tmp_path: Path, context: Context) -> None:
    made = make_certificates(tmp_path)
    locking = ("ec", "-in", "client.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    subprocess.run(["openssl", *locking], check=True, capture_output=True, cwd=made)
    with pytest.raises(ConfigError, match="must be PEM files that fit together"):
        context(Tls(made / "client.pem", made / "locked.key", made / "authority.pem"))
    assert context(Tls(made / "client.pem", made / "client.key", made / "authority.pem")).get_ca_certs()


def test_sides_ask_for_certificates_of_the_authorities(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    alone, both = (
        Tls(made / "client.pem", made / "client.key", one) for one in (None, made / "authority.pem")
    )
    assert server_context(alone).verify_mode == ssl.CERT_NONE
    assert {context(both).verify_mode for context in (client_context, server_context)} == {ssl.CERT_REQUIRED}
    assert client_context(alone).verify_mode == ssl.CERT_REQUIRED
