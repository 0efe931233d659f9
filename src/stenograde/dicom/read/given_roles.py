"""Reads a table of roles that wins over what reading finds, and joins it with the series of a study."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from stenograde.errors import ConfigError
from stenograde.files import regular_bytes
from stenograde.terms import Role

_MAX_BYTES = 64 << 20
"""Longest table that is read; that of RSNA 2024 has half a megabyte."""

MOST_SHOWN = 5
"""Up to so many rows are named in a message."""


def read_roles(csv_path: str | Path) -> dict[str, Role]:
    """Read roles from a table in the form of RSNA 2024's ``train_series_descriptions.csv``.

    Parameters
    ----------
    csv_path : path
        Columns ``series_id`` and ``series_description`` (Sagittal T1, Sagittal T2/STIR or Axial T2), and
        ``study_id`` where series of several studies stand in it.

    Returns
    -------
    roles : dict
        Role by key: the series, or study and series with a slash between. A study is named by its UID or the
        UID's last component, a series by its UID, the UID's last component, or the name of its folder.

    Raises
    ------
    ConfigError
        If the file cannot be read, lacks a column, names an unknown role, or gives one series two roles.
    """
    by_name = {role.shown.lower(): role for role in Role} | {role.value: role for role in Role}
    try:
        text = regular_bytes(Path(csv_path), at_most=_MAX_BYTES).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        msg = f"roles must be a readable CSV file, got {csv_path} ({getattr(exc, 'strerror', None) or exc})"
        raise ConfigError(msg) from exc
    roles: dict[str, Role] = {}
    for number, row in enumerate(rows, start=2):
        series, said = row.get("series_id"), row.get("series_description")
        if series is None or said is None:
            columns = ", ".join(map(str, row))
            msg = f"roles must have the columns series_id and series_description, got {columns}"
            raise ConfigError(msg)
        role = by_name.get(said.strip().lower())
        if role is None:
            known = ", ".join(role.shown for role in Role)
            msg = f"role must be one of {known}, got {said!r} in line {number} of {csv_path}"
            raise ConfigError(msg)
        study = (row.get("study_id") or "").strip()
        key = f"{study}/{series.strip()}" if study else series.strip()
        if roles.setdefault(key, role) is not role:
            msg = (
                f"a series must have one role, got {roles[key].shown} and {role.shown} for series "
                f"{_shown(series.strip())} in line {number} of {csv_path}; leave one row out"
            )
            raise ConfigError(msg)
    return roles


def keys_of(study_uid: str, series_uid: str, folders: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the keys by which a table of roles may name a series; those that name its study first."""
    series = (series_uid, series_uid.rpartition(".")[2], *sorted(folders))
    studies = (study_uid, study_uid.rpartition(".")[2])
    return (*(f"{study}/{one}" for study in studies for one in series), *series)


def role_of(roles: Mapping[str, Role], keys: Iterable[str]) -> Role | None:
    """Return the role given for a series by one of its keys; None when there is none.

    Raises
    ------
    ConfigError
        If several of its keys give it different roles.
    """
    found = {key: roles[key] for key in keys if key in roles}
    if len(set(found.values())) > 1:
        given = " and ".join(f"{role.shown} (row {_shown(key)})" for key, role in found.items())
        msg = f"a series must have one role, got {given}; leave one row out"
        raise ConfigError(msg)
    return next(iter(found.values()), None)


def check_matched(roles: Mapping[str, Role], study_uids: Iterable[str], matched: Iterable[str]) -> None:
    """Check that every row of a table about the studies at hand names a series of theirs.

    Parameters
    ----------
    roles : mapping
    study_uids : iterable of str
        Of all studies that were read.
    matched : iterable of str
        Keys that named a series.

    Raises
    ------
    ConfigError
        If a row names a series that is in none of the studies, or no row names any. Rows of other studies are
        let be while others match.
    """
    matched, ours = set(matched), {uid for one in study_uids for uid in (one, one.rpartition(".")[2])}
    lost = [key for key in roles if key not in matched and ("/" not in key or key.partition("/")[0] in ours)]
    if not lost and (matched or not roles):
        return
    named = lost or list(roles)
    more = f" and {len(named) - MOST_SHOWN} more" if len(named) > MOST_SHOWN else ""
    shown = ", ".join(map(_shown, named[:MOST_SHOWN])) + more
    msg = (
        f"every row of a table of roles must name a series of the study, got {shown}, which is none of it; compare "
        "with 'stenograde inspect', and name the study in a column study_id where the table is of several"
    )
    raise ConfigError(msg)


def rows_of(roles: Mapping[str, Role], study: str, series: Iterable[str]) -> dict[str, Role]:
    """Return the rows of a table that name one study, or name no study but one of some series.

    Parameters
    ----------
    roles : mapping
    study : str
        As the table names it.
    series : iterable of str
        Names of the study's series, such as its folders.

    Returns
    -------
    roles : dict
        Role by series. Where the table names some of the series, its rows of others are left out: data sets
        are handed on in parts.
    """
    ours = {form for name in series for form in (name, name.rpartition(".")[2])}
    named = {
        key.removeprefix(f"{study}/"): role for key, role in roles.items() if key.startswith(f"{study}/")
    }
    there = {key: role for key, role in (dict(roles) | named).items() if key in ours}
    return there or named


def _shown(key: str) -> str:
    """Show numbers and UIDs; anything else may be the name of a folder, and so of a patient."""
    return key if set(key) <= set("0123456789./") else "a name"
