"""Settings of the service, built from a TOML file; by default it listens to this machine alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Literal

from stenograde.config import build, read_toml
from stenograde.terms import Role

Kind = Literal["sr", "pdf", "sc", "seg"]
"""Of a DICOM result: structured report, encapsulated PDF, secondary capture, segmentation."""

ALL_KINDS: Final[tuple[Kind, ...]] = ("sr", "pdf", "sc", "seg")

_AE_TITLE: Final = re.compile(r"(?! )[ !-\[\]-~]{1,16}(?<! )")
"""An AE title (PS3.5 6.2): 1 to 16 printable characters without a backslash, no space at its ends."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""Name of a destination: it stands in tables, logs and metrics."""


@dataclass(frozen=True)
class Tls:
    """Certificate and key of this side, and who may sign those of the other side."""

    certificate: Path
    """PEM file."""
    key: Path
    """PEM file."""
    authorities: Path | None = None
    """PEM file; where it is given, the other side must show a certificate that one of these has signed."""


@dataclass(frozen=True)
class DicomSettings:
    """The DICOM port: C-STORE and C-ECHO."""

    ae_title: str = "STENOGRADE"
    host: str = "127.0.0.1"
    port: int = 11112
    tls: Tls | None = None
    callers: tuple[str, ...] = ()
    """AE titles that may send, each with ``@HOST`` behind it where it may come from one address only; none: any."""
    largest_mb: int = 1024
    """Largest object that is taken, MB."""
    associations: int = 16
    """Most associations at once."""

    def __post_init__(self) -> None:
        _check_ae_title(self.ae_title, "ae_title")
        for caller in self.callers:
            _check_ae_title(caller.partition("@")[0], "callers")
        _check_port(self.port)
        _check_at_least(1, largest_mb=self.largest_mb, associations=self.associations)
        if not self.callers and not is_loopback(self.host):
            msg = f"callers must name who may send when host is not this machine alone, got none and {self.host}"
            raise ValueError(msg)


@dataclass(frozen=True)
class HttpSettings:
    """DICOMweb (STOW-RS), health and metrics."""

    host: str = "127.0.0.1"
    port: int = 11180
    """Assigned to nobody by IANA; 8042, which is often seen near DICOM, is Orthanc's."""
    tokens_file: Path | None = None
    """One token a line; a request must carry one of them as a bearer token."""
    tls: Tls | None = None

    def __post_init__(self) -> None:
        _check_port(self.port)
        if self.tokens_file is None and not is_loopback(self.host):
            msg = f"tokens_file must be set when host is not this machine alone, got none and {self.host}"
            raise ValueError(msg)


@dataclass(frozen=True)
class WatchSettings:
    """A folder whose files are taken in."""

    folder: Path


@dataclass(frozen=True)
class StudySettings:
    """When a study is complete, and how large it may be."""

    quiet_s: float = 60.0
    """A study is complete when no image of it has come for so long."""
    expected_series: int = 0
    """How many MR series a study has at this site; 0 where that is not known."""
    expected_roles: tuple[Role, ...] = ()
    """What a study has series for at this site: ``sagittal_t1``, ``sagittal_t2_stir``, ``axial_t2``, or some of them.
    Only what the headers of single-frame instances tell without a look at the picture counts; a study in which they do
    not is complete after ``quiet_s``, as ever."""
    expected_quiet_s: float = 10.0
    """Quiet time once these are there: the last of them has only begun to come."""
    longest_s: float = 3600.0
    """A study is complete so long after its first image in any case."""
    most_instances: int = 20_000

    def __post_init__(self) -> None:
        _check_at_least(0, expected_series=self.expected_series, expected_quiet_s=self.expected_quiet_s)
        _check_at_least(0, quiet_s=self.quiet_s, longest_s=self.longest_s)
        _check_at_least(1, most_instances=self.most_instances)


@dataclass(frozen=True)
class GradingSettings:
    """How studies are graded, and how often it is tried."""

    bundle: Path | None = None
    """None: the one that ships."""
    workers: int = 1
    lease_s: float = 120.0
    """A worker that is not heard of for so long is taken for dead."""
    longest_s: float = 1800.0
    """Longest that a study may take; the worker is then ended."""
    attempts: int = 3
    """How often a study is tried before it is put aside as failed."""
    backoff_s: float = 30.0
    """Wait before the second attempt; it doubles with each, up to an hour."""
    results: tuple[Kind, ...] = ALL_KINDS
    """DICOM results that are made of a study."""
    demographics: bool = True
    """Whether reports tell date, age and sex."""

    def __post_init__(self) -> None:
        _check_at_least(1, workers=self.workers, attempts=self.attempts, lease_s=self.lease_s)
        _check_at_least(1, longest_s=self.longest_s)
        _check_at_least(0, backoff_s=self.backoff_s)


@dataclass(frozen=True)
class Destination:
    """Where results are sent."""

    kind: Literal["dicom", "stow"]
    ae_title: str = ""
    host: str = ""
    port: int = 104
    url: str = ""
    """Of a DICOMweb server, such as https://pacs.example/dicom-web."""
    token_file: Path | None = None
    tls: Tls | None = None
    commitment: bool = False
    """Whether storage commitment is asked for."""
    results: tuple[Kind, ...] = ALL_KINDS
    """What of the results is sent there."""

    def __post_init__(self) -> None:
        if self.kind == "dicom":
            _check_ae_title(self.ae_title, "ae_title")
            _check_port(self.port)
            if not self.host:
                msg = "host must be set for a destination of kind dicom, got none"
                raise ValueError(msg)
        elif not self.url.startswith(("http://", "https://")):
            msg = f"url must begin with https:// or http:// for a destination of kind stow, got {self.url!r}"
            raise ValueError(msg)


@dataclass(frozen=True)
class SendSettings:
    """How deliveries are tried; they are tried until they are acknowledged."""

    lease_s: float = 300.0
    backoff_s: float = 15.0
    """Wait before the second attempt; it doubles with each, up to an hour."""
    alarm_after_s: float = 900.0
    """A destination that has not acknowledged results for so long, though it was tried, is told of as down."""
    alarm_command: tuple[str, ...] = ()
    """Run with ``destination down`` or ``destination up`` and the destination's name behind it."""

    def __post_init__(self) -> None:
        _check_at_least(1, lease_s=self.lease_s)
        _check_at_least(0, backoff_s=self.backoff_s, alarm_after_s=self.alarm_after_s)


@dataclass(frozen=True)
class RetentionSettings:
    """How long studies and results are kept here."""

    days: int = 30
    """After the last change of its job; 0 keeps them."""

    def __post_init__(self) -> None:
        _check_at_least(0, days=self.days)


@dataclass(frozen=True)
class ServeSettings:
    """Everything that ``stenograde serve`` can be told."""

    store: Path = Path("stenograde-store")
    """Folder of what was received and of the results."""
    database: str = ""
    """URL of SQLAlchemy; empty: an SQLite file in the store."""
    free_mb: int = 1024
    """Nothing is taken in while the disk has less free room than this, MB."""
    dicom: DicomSettings | None = field(default_factory=DicomSettings)
    http: HttpSettings | None = field(default_factory=HttpSettings)
    watch: WatchSettings | None = None
    study: StudySettings = field(default_factory=StudySettings)
    grading: GradingSettings = field(default_factory=GradingSettings)
    send: SendSettings = field(default_factory=SendSettings)
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    retention: RetentionSettings = field(default_factory=RetentionSettings)

    def __post_init__(self) -> None:
        _check_at_least(0, free_mb=self.free_mb)
        for name in self.destinations:
            if not _NAME.fullmatch(name):
                msg = f"name of a destination must be small letters, digits, - and _, got {name!r}"
                raise ValueError(msg)

    @property
    def database_url(self) -> str:
        """URL of the database."""
        return self.database or f"sqlite:///{(self.store / 'stenograde.sqlite').absolute()}"


def read_settings(path: Path | None) -> ServeSettings:
    """Return the settings of a TOML file; the defaults without one.

    Raises
    ------
    ConfigError
        If the file cannot be read, or a setting is unknown, of the wrong type or out of range.
    """
    return build(ServeSettings, read_toml(path)) if path else ServeSettings()


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can connect to an address.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_ae_title(title: str, what: str) -> None:
    if not _AE_TITLE.fullmatch(title):
        msg = f"{what} must be an AE title of 1 to 16 printable characters, got {title!r}"
        raise ValueError(msg)


def _check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        msg = f"port must be 0 to 65535, got {port}"
        raise ValueError(msg)


def _check_at_least(least: float, **numbers: float) -> None:
    for name, number in numbers.items():
        if not number >= least:
            msg = f"{name} must be at least {least:g}, got {number:g}"
            raise ValueError(msg)
