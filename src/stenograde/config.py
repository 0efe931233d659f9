"""Strict builder: a TOML table becomes a frozen dataclass; an unknown name or a wrong type is an error.

Nothing is guessed or converted silently: the only leniency is that a whole number may stand for a float.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from stenograde.errors import ConfigError

Config = TypeVar("Config")

_MAX_BYTES = 16 << 20
"""Longest TOML file that is read, bytes."""

_MOST_LIKE = 4
"""Most settings of like names that are told."""

_TOML_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    Path: "a path",
}


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        If the file is missing, unreadable or not TOML.
    """
    try:
        file = Path(path)
        if file.exists() and not (file.is_file() and file.stat().st_size <= _MAX_BYTES):
            msg = f"configuration must be a readable TOML file, got {path}, which is no file, or far too long"
            raise ConfigError(msg)
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        msg = f"configuration must be a readable TOML file, got {path} ({reason})"
        raise ConfigError(msg) from exc


def build(
    kind: type[Config], table: Mapping[str, Any], *, where: str = "", base: Config | None = None
) -> Config:
    """Make a dataclass from a table.

    Parameters
    ----------
    kind : dataclass
        Its fields may be bool, int, float, str, Path, an Enum, a Literal, another dataclass, a tuple, a
        mapping from str, or one of these or None.
    table : Mapping
        Settings by field name, as :func:`read_toml` gives them.
    where : str
        Dotted name of the table within its file, for messages.
    base : dataclass, optional
        Of this kind; what the table does not name and need not name is as it is there.

    Returns
    -------
    config : dataclass
        Fields that the table does not name have their defaults; those of a table within it the defaults that the field
        has which holds it.

    Raises
    ------
    ConfigError
        If a name is unknown or missing, a value has the wrong type, or the dataclass itself refuses it.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Crop:
    ...     size_mm: float
    >>> build(Crop, {"size_mm": 80}, where="levels.crop")
    Crop(size_mm=80.0)
    >>> build(Crop, {"sise_mm": 80}, where="levels.crop")
    Traceback (most recent call last):
    stenograde.errors.ConfigError: levels.crop has no setting 'sise_mm'; it has: size_mm
    """
    shown = where or "the configuration"
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    for name in table:
        if name not in fields:
            msg = f"{shown} has no setting {name!r}; it has: {', '.join(fields) or 'none'}"
            raise ConfigError(msg)
    missing = [name for name, field in fields.items() if name not in table and _is_required(field)]
    if missing:
        msg = f"{shown} must set {', '.join(missing)}, got {', '.join(table) or 'nothing'}"
        raise ConfigError(msg)
    hints = get_type_hints(kind)
    values = {
        name: _converted(hints[name], value, f"{where}.{name}" if where else name, _held(fields[name], base))
        for name, value in table.items()
    }
    try:
        return kind(**values) if base is None else dataclasses.replace(base, **values)  # type: ignore[type-var]
    except ValueError as exc:
        msg = f"{shown}: {exc}"
        raise ConfigError(msg) from exc


def changed(table: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Return a table of settings with some of them changed.

    Parameters
    ----------
    table : mapping
    settings : sequence of str
        Such as ``fit.epochs=2``: a dotted name and a TOML value. A word that is no TOML value is a text, and so is
        whatever takes the place of one.

    Raises
    ------
    ConfigError
        If one has no name or value, or its name goes through what is no table.

    Examples
    --------
    >>> changed({"fit": {"epochs": 30, "batch": 8}}, ["fit.epochs=2", "net.encoder=resnet10"])
    {'fit': {'epochs': 2, 'batch': 8}, 'net': {'encoder': 'resnet10'}}
    """
    made: dict[str, Any] = copy.deepcopy(dict(table))
    for setting in settings:
        name, sign, text = setting.partition("=")
        *tables, last = name.strip().split(".")
        if not sign or not all((*tables, last)) or not text.strip():
            msg = f"a setting must be NAME=VALUE, such as fit.epochs=2, got {setting!r}"
            raise ConfigError(msg)
        place = made
        for one in tables:
            place = place.setdefault(one, {})
            if not isinstance(place, dict):
                msg = f"the name of a setting must go through tables, got {name.strip()!r}, in which {one!r} is none"
                raise ConfigError(msg)
        place[last] = _toml_value(text.strip(), in_place_of=place.get(last))
    return made


def _toml_value(text: str, *, in_place_of: Any) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if isinstance(in_place_of, str) and not isinstance(value, str) else value


@dataclasses.dataclass(frozen=True)
class Changes:
    """What is asked of settings beside the file that they stand in."""

    settings: tuple[str, ...] = ()
    """Such as ``fit.epochs=2``; see :func:`changed`."""
    device: str | None = None
    """What every setting named ``accelerator`` becomes; None leaves them as they are."""
    precision: str | None = None
    """What every setting named ``precision`` becomes."""


NO_CHANGES: Final = Changes()
"""Settings as their file holds them."""


def build_changed(
    kind: type[Config], table: Mapping[str, Any], changes: Changes, *, where: str = ""
) -> tuple[Config, tuple[str, ...]]:
    """Make a dataclass from a table and from what is asked beside it.

    What is not asked for stays as it is, the defaults within a table, too.

    Parameters
    ----------
    kind, table, where
        See :func:`build`.
    changes : Changes

    Returns
    -------
    config : dataclass
    told : tuple of str
        What differs from the table alone, such as ``fit.epochs=2``; where it is run does not count.

    Raises
    ------
    ConfigError
        If a setting is unknown or wrong; the message has its dotted name, and those of settings with like names.

    Examples
    --------
    >>> @dataclasses.dataclass(frozen=True)
    ... class Crop:
    ...     size_mm: float
    ...     slices: int = 3
    >>> build_changed(Crop, {"size_mm": 80}, Changes(("size_mm=60", "slices=3")))
    (Crop(size_mm=60.0, slices=3), ('size_mm=60.0',))
    >>> build_changed(Crop, {"size_mm": 80}, Changes(("size=60",)))
    Traceback (most recent call last):
    stenograde.errors.ConfigError: the configuration has no setting 'size'; it has: size_mm, slices; like size: size_mm
    """
    alone = as_plain(build(kind, table, where=where))
    before = changed(alone, _everywhere(alone, "accelerator", changes.device))
    asked = (*_everywhere(before, "precision", changes.precision), *changes.settings)
    try:
        made = build(kind, changed(before, asked))
    except ConfigError as exc:
        like = _like(asked, [name for name, _ in dotted(before)])
        msg = f"{exc}{like}"
        raise ConfigError(msg) from exc
    after = dict(dotted(as_plain(made)))
    then = dict(dotted(before))
    told = (
        f"{name}={_shown(value)}" for name, value in after.items() if name not in then or then[name] != value
    )
    return made, tuple(told)


def _everywhere(table: Mapping[str, Any], name: str, value: str | None) -> list[str]:
    """Return settings that give every one of a name a value.

    Raises
    ------
    ConfigError
        If there is a value and no setting of the name.
    """
    of_name = [one for one, _ in dotted(table) if one.split(".")[-1] == name]
    if value is None:
        return []
    if not of_name:
        msg = f"settings must have one named {name} to be {value!r}, got none; leave out what asks for it"
        raise ConfigError(msg)
    return [f'{one}="{value}"' for one in of_name]


def dotted(table: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Give each value of nested tables with its dotted name.

    Examples
    --------
    >>> list(dotted({"fit": {"epochs": 2}, "folds": 5}))
    [('fit.epochs', 2), ('folds', 5)]
    """
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from dotted(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _like(asked: Sequence[str], known: Sequence[str]) -> str:
    """Return in words which settings have a name like one that is asked for and is not known."""
    words = ""
    lasts: dict[str, list[str]] = {}
    for name in known:
        lasts.setdefault(name.split(".")[-1], []).append(name)
    for name in (setting.partition("=")[0].strip() for setting in asked):
        if name not in known and not any(one.startswith(f"{name}.") for one in known):
            near = get_close_matches(name.split(".")[-1], lasts, cutoff=0.7)
            like = get_close_matches(
                name, [one for last in near for one in lasts[last]], _MOST_LIKE, cutoff=0
            )
            words += f"; like {name}: {', '.join(like)}" if like else ""
    return words


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def as_plain(value: Any) -> Any:
    """Return settings or results as JSON holds them: the same text for the same values, and no NaN.

    Dataclasses and mappings become tables, tuples lists, sets sorted lists, paths and enums their text; a number that
    is not finite becomes None.

    Examples
    --------
    >>> as_plain({"out": Path("a"), "sizes": (1, 2.5), "score": float("nan")})
    {'out': 'a', 'sizes': [1, 2.5], 'score': None}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_plain(one) for name, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(str(one) for one in value)
    if isinstance(value, tuple | list):
        return [as_plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, str | Path | Enum) else value


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _held(field: dataclasses.Field[Any], base: Any) -> Any:
    """Return what a field is when nothing is said: that of ``base``, or its default, if it has one."""
    if base is not None:
        return getattr(base, field.name)
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _converted(hint: Any, value: Any, where: str, held: Any = None) -> Any:
    """Return a value as its field wants it; ``where`` is the setting's dotted name, ``held`` what it is without."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(hint, value, where)
    if origin is Literal:
        return _chosen(get_args(hint), value, where)
    if origin is tuple:
        return _tuple(get_args(hint), value, where)
    if origin in (dict, Mapping):
        return _mapping(get_args(hint), value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise _wrong(where, "a table", value)
        return build(hint, value, where=where, base=held if type(held) is hint else None)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(_chosen(tuple(member.value for member in hint), value, where))
    return _plain(hint, value, where)


def _plain(hint: Any, value: Any, where: str) -> Any:
    if hint not in _TOML_NAMES:
        msg = f"{where} is declared as {hint}, which no TOML value can become"
        raise TypeError(msg)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # type(), not isinstance(): true is not a whole number
    if type(value) is not hint:
        raise _wrong(where, _TOML_NAMES[hint], value)
    return value


def _one_of(hint: Any, value: Any, where: str) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if value is None and len(kinds) < len(get_args(hint)):
        return None
    refused: list[ConfigError] = []
    for kind in kinds:
        try:
            return _converted(kind, value, where)
        except ConfigError as exc:
            refused.append(exc)
    if len(refused) == 1:
        raise refused[0]
    msg = f"{where} must suit one of {len(kinds)} forms, got {value!r}: {'; '.join(map(str, refused))}"
    raise ConfigError(msg)


def _chosen(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    for choice in choices:
        if type(choice) is type(value) and choice == value:
            return choice
    raise _wrong(where, f"one of {', '.join(repr(choice) for choice in choices)}", value)


def _tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(where, "a list", value)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise _wrong(where, f"a list of {len(kinds)} values", value)
    return tuple(
        _converted(kind, item, f"{where}[{place}]")
        for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _mapping(kinds: tuple[Any, ...], value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, "a table", value)
    return {name: _converted(kinds[1], item, f"{where}.{name}") for name, item in value.items()}


def _wrong(where: str, rule: str, value: Any) -> ConfigError:
    return ConfigError(f"{where} must be {rule}, got {value!r}")
