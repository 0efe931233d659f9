"""Where studies come from: folders and files here, object storage by URL (fsspec), a DICOMweb server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from stenograde.errors import MissingDependencyError, UnreadableInstanceError, installing

DICOMWEB = re.compile(r"dicomweb\+(?P<server>https?://.+)/studies/(?P<uid>[0-9.]+)/?")
"""A study of a DICOMweb server (PS3.18, 10.4): the server's own URL after ``dicomweb+``."""


@contextmanager
def fetched(source: str) -> Iterator[Path]:
    """Give the folder or file of a source while the body runs; what had to be fetched is deleted after it.

    Raises
    ------
    MissingDependencyError
        If a package that speaks to such a source is not installed.
    UnreadableInstanceError
        If it cannot be fetched.
    """
    if "://" not in source:
        yield Path(source)
        return
    with TemporaryDirectory(prefix="stenograde-") as scratch:
        folder = Path(scratch)
        web = DICOMWEB.fullmatch(source)
        try:
            if web:
                _from_dicomweb(web["server"], web["uid"], folder)
            else:
                _from_storage(source, folder)
        except ImportError as exc:
            msg = f"reading from {source.partition('://')[0]} needs {exc.name}; {installing('batch')}"
            raise MissingDependencyError(msg) from exc
        except (
            Exception
        ) as exc:  # what a server or a client library raises is its own; all of it means not fetched
            msg = (
                f"a source must be there and open to us, got {type(exc).__name__}; see that it can be fetched"
            )
            raise UnreadableInstanceError(msg) from exc
        yield folder


def _from_storage(source: str, folder: Path) -> None:
    """Copy a file, or all below a prefix, out of object storage."""
    import fsspec  # noqa: PLC0415

    storage, path = fsspec.core.url_to_fs(source)
    if storage.isfile(path):
        storage.get_file(path, str(folder / Path(path).name))
        return
    files = storage.find(path)
    if not files:
        raise FileNotFoundError
    for number, file in enumerate(files):
        place = folder / f"{number:06d}{Path(file).suffix}"
        storage.get_file(file, str(place))


def _from_dicomweb(server: str, uid: str, folder: Path) -> None:
    """Retrieve all instances of a study (WADO-RS), one by one."""
    from dicomweb_client.api import DICOMwebClient  # noqa: PLC0415

    client = DICOMwebClient(server)
    client.set_http_retry_params(max_attempts=3, wait_exponential_multiplier=500)
    for number, instance in enumerate(client.iter_study(uid)):
        instance.save_as(folder / f"{number:06d}.dcm", enforce_file_format=True)
    if not any(folder.iterdir()):
        raise FileNotFoundError
