"""Where studies come from: folders and files here, object storage by URL (fsspec), a DICOMweb server."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from stenograde.batch.manifest import is_url
from stenograde.errors import ConfigError, MissingDependencyError, StudyError, installing

DICOMWEB = re.compile(r"dicomweb\+(?P<server>https?://.+)/studies/(?P<uid>[0-9.]+)/?")
"""A study of a DICOMweb server (PS3.18, 10.4): the server's own URL after ``dicomweb+``."""


class NotFetchedError(StudyError):
    """A study could not be fetched; a later run tries again."""


@contextmanager
def fetched(source: str) -> Iterator[Path]:
    """Give the folder or file of a source while the body runs; what had to be fetched is deleted after it.

    Raises
    ------
    MissingDependencyError
        If a package that speaks to such a source is not installed.
    ConfigError
        If there is no room to fetch into.
    NotFetchedError
        If it cannot be fetched.
    """
    if not is_url(source):
        yield Path(source)
        return
    with _scratch() as folder:
        web = DICOMWEB.fullmatch(source)
        try:
            place = (
                _from_dicomweb(web["server"], web["uid"], folder) if web else _from_storage(source, folder)
            )
        except ImportError as exc:
            told = f"needs {exc.name}; {installing('batch')}" if exc.name else f"needs a package: {exc}"
            msg = f"reading from {source.partition('://')[0]} {told}"
            raise MissingDependencyError(msg) from exc
        except Exception as exc:  # (what a server or a client library raises is its own)
            _check_room(exc)
            name = type(exc).__name__
            msg = f"a source must be there and open to us, got {name}; see that it can be fetched, and run again"
            raise NotFetchedError(msg) from exc
        yield place


def sweep() -> None:
    """Delete what processes of this machine had fetched when they were killed."""
    for folder in Path(gettempdir()).glob(f"{_prefix('')}*"):
        pid = folder.name.removeprefix(_prefix("")).partition("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _prefix(pid: int | str) -> str:
    """Beginning of the names of folders that a process fetches into; machines may share the place."""
    return f"stenograde-{socket.gethostname()}-{pid}" + ("-" if isinstance(pid, int) else "")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _scratch() -> Iterator[Path]:
    try:
        held = TemporaryDirectory(prefix=_prefix(os.getpid()), ignore_cleanup_errors=True)
    except OSError as exc:
        _check_room(exc)
        msg = (
            f"{gettempdir()} must be a folder to fetch into, got {exc.strerror}; name another one with TMPDIR"
        )
        raise ConfigError(msg) from exc
    with held as folder:
        yield Path(folder)


def _check_room(exc: BaseException) -> None:
    """Raise a ``ConfigError`` if an error is one of a disk that is full: no study is at fault for it."""
    if isinstance(exc, OSError) and exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        msg = (
            f"{gettempdir()} must have room for studies that are fetched, got none; make room, and run again"
        )
        raise ConfigError(msg) from exc


def _from_storage(source: str, folder: Path) -> Path:
    """Copy a file, or all below a prefix, out of object storage; return where it is."""
    import fsspec  # noqa: PLC0415

    storage, path = fsspec.core.url_to_fs(source)
    if storage.isfile(path):
        place = folder / Path(path).name
        storage.get_file(path, str(place))
        return place
    files = storage.find(path)
    if not files:
        raise FileNotFoundError
    for number, file in enumerate(files):
        storage.get_file(file, str(folder / f"{number:06d}{Path(file).suffix}"))
    return folder


def _from_dicomweb(server: str, uid: str, folder: Path) -> Path:
    """Retrieve all instances of a study (WADO-RS), one by one; return where they are."""
    from dicomweb_client.api import DICOMwebClient  # noqa: PLC0415

    client = DICOMwebClient(server)
    client.set_http_retry_params(max_attempts=3, wait_exponential_multiplier=500)
    for number, instance in enumerate(client.iter_study(uid)):
        instance.save_as(folder / f"{number:06d}.dcm", enforce_file_format=True)
    if not any(folder.iterdir()):
        raise FileNotFoundError
    return folder
