"""Names in place of names: the same for the same key, and nothing that leads back without it."""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from pydicom._uid_dict import UID_dictionary

from stenograde.errors import ConfigError

_MIN_KEY_BYTES: Final = 16
_MAX_KEY_BYTES: Final = 4096
_MAX_SHIFT_DAYS: Final = 3650
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})(.*)", re.DOTALL)
_REST_OF_DATETIME = re.compile(r"(\d{2}){0,3}(\.\d{1,6})?([+-]\d{4})?")


def key_at(path: Path | None) -> bytes:
    """Return the key in a file, which is made (for its owner only) if it is not there; a new key without a file.

    Raises
    ------
    ConfigError
        If the file cannot be read or made, or is too short or too long to be a key.
    """
    if path is None:
        return secrets.token_bytes(32)
    try:
        if not path.exists():
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(secrets.token_hex(32) + "\n", encoding="ascii")
        with path.open("rb") as file:
            key = file.read(_MAX_KEY_BYTES + 1).strip()
    except (OSError, ValueError) as exc:
        msg = f"--key must be a file that can be read or made, got {path} ({getattr(exc, 'strerror', None) or exc})"
        raise ConfigError(msg) from exc
    if not _MIN_KEY_BYTES <= len(key) <= _MAX_KEY_BYTES:
        msg = (
            f"--key must hold {_MIN_KEY_BYTES} to {_MAX_KEY_BYTES} bytes, got {len(key)} in {path}; name a "
            "file that is not there and it is made"
        )
        raise ConfigError(msg)
    return key


class Pseudonyms:
    """Gives UIDs, patients and days of shift by a key (HMAC-SHA-256)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _digest(self, what: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{what}:{value}".encode("utf-8", "surrogateescape"), "sha256")

    def uid(self, uid: str) -> str:
        """Return another UID under 2.25 (PS3.5 B.2); one that the standard defines stays as it is."""
        if is_of_standard(uid):
            return uid
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16])}"

    def patient(self, patient: str) -> str:
        """Return a name for a patient."""
        return f"P{self._digest('patient', patient).hex()[:16].upper()}"

    def shift_days(self, patient: str) -> int:
        """Return by how many days all dates of a patient go back, from 1 to 3650."""
        return 1 + int.from_bytes(self._digest("days", patient)[:8]) % _MAX_SHIFT_DAYS


def is_of_standard(uid: str) -> bool:
    """Return whether a UID is one that the standard defines, such as that of a SOP class."""
    return uid in UID_dictionary


def shifted(value: str, days: int) -> str | None:
    """Return a date (DA) or a date with time (DT) that many days earlier; None for what is no date.

    Examples
    --------
    >>> shifted("20240301", 1), shifted("20240301120000.5+0100", 366), shifted("JohnDoe", 1)
    ('20240229', '20230301120000.5+0100', None)
    """
    found = _DATE.fullmatch(value)
    if not found or not _REST_OF_DATETIME.fullmatch(found[4]):
        return None
    try:
        day = date(int(found[1]), int(found[2]), int(found[3])) - timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{day:%Y%m%d}".zfill(8) + found[4]
