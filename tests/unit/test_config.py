"""The strict builder: what it accepts, and the exact words it refuses with."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stenograde.config import Changes, as_plain, build, build_changed, read_toml
from stenograde.errors import ConfigError
from stenograde.terms import Level


@dataclass(frozen=True)
class Crop:
    size_mm: float
    margin_px: int = 2

    def __post_init__(self) -> None:
        if self.size_mm <= 0:
            msg = f"size_mm must be positive, got {self.size_mm}"
            raise ValueError(msg)


@dataclass(frozen=True)
class Levels:
    crop: Crop
    names: tuple[Level, ...] = (Level.L4_L5,)
    window: tuple[float, float] = (1.0, 99.0)
    weights: Path | None = None
    kind: Literal["fast", "exact"] = "fast"
    flip: bool = False
    share: dict[str, float] = field(default_factory=dict)
    depth: int | str = 1
    derived: int = field(default=3, init=False)


@dataclass(frozen=True)
class Experiment:
    levels: Levels
    title: str = ""


def test_build_when_all_is_given_then_each_field_has_its_declared_type() -> None:
    table = {
        "levels": {
            "crop": {"size_mm": 80, "margin_px": 3},
            "names": ["l1_l2", "l5_s1"],
            "window": [2, 98.5],
            "weights": "a/b.onnx",
            "kind": "exact",
            "flip": True,
            "share": {"train": 1},
            "depth": "all",
        },
        "title": "one",
    }
    built = build(Experiment, table)
    expected = Levels(
        crop=Crop(80.0, 3),
        names=(Level.L1_L2, Level.L5_S1),
        window=(2.0, 98.5),
        weights=Path("a/b.onnx"),
        kind="exact",
        flip=True,
        share={"train": 1.0},
        depth="all",
    )
    assert built == Experiment(expected, "one")
    assert type(built.levels.crop.size_mm) is float
    assert type(built.levels.names[0]) is Level


def test_build_when_optional_names_are_left_out_then_they_have_their_defaults() -> None:
    assert build(Levels, {"crop": {"size_mm": 1.5}}) == Levels(Crop(1.5))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sise_mm": 80}, r"^levels\.crop has no setting 'sise_mm'; it has: size_mm, margin_px$"),
        ({}, r"^levels\.crop must set size_mm, got nothing$"),
        ({"size_mm": "80"}, r"^levels\.crop\.size_mm must be a number, got '80'$"),
        ({"size_mm": True}, r"^levels\.crop\.size_mm must be a number, got True$"),
        ({"size_mm": 8, "margin_px": 2.0}, r"^levels\.crop\.margin_px must be a whole number, got 2\.0$"),
        ({"size_mm": 8, "margin_px": True}, r"^levels\.crop\.margin_px must be a whole number, got True$"),
        ({"size_mm": -1}, r"^levels\.crop: size_mm must be positive, got -1\.0$"),
    ],
)
def test_build_when_a_table_is_wrong_then_the_message_names_what_would_be_right(
    table: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(Crop, table, where="levels.crop")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("crop", 3, r"^crop must be a table, got 3$"),
        ("crop", {"size": 3}, r"^crop has no setting 'size'"),
        ("names", "l1_l2", r"^names must be a list, got 'l1_l2'$"),
        ("names", ["l1_l2", "l9_s1"], r"^names\[1\] must be one of 'c2_c3', .*'l5_s1', got 'l9_s1'$"),
        ("window", [1.0], r"^window must be a list of 2 values, got \[1\.0\]$"),
        ("weights", 3, r"^weights must be a path, got 3$"),
        ("kind", "slow", r"^kind must be one of 'fast', 'exact', got 'slow'$"),
        ("flip", 1, r"^flip must be true or false, got 1$"),
        ("share", [1], r"^share must be a table, got \[1\]$"),
        ("share", {"train": "1"}, r"^share\.train must be a number, got '1'$"),
        ("depth", 1.5, r"^depth must suit one of 2 forms, got 1\.5: "),
        ("derived", 4, r"^the configuration has no setting 'derived'"),
    ],
)
def test_build_when_a_nested_value_is_wrong_then_its_dotted_name_is_said(
    name: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(Levels, {"crop": {"size_mm": 1.0}} | {name: value})


def test_build_when_a_field_can_never_come_from_toml_then_it_is_our_fault() -> None:
    @dataclass(frozen=True)
    class Odd:
        call: complex = 1j

    with pytest.raises(TypeError, match="which no TOML value can become"):
        build(Odd, {"call": 1})


def test_read_toml_when_the_file_is_good_then_it_gives_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[levels.crop]\nsize_mm = 80\n", encoding="utf-8")
    assert read_toml(path) == {"levels": {"crop": {"size_mm": 80}}}


@pytest.mark.parametrize(("content", "reason"), [(b"size = = 1", "line 1"), (b"\xff\xfe", "utf-8")])
def test_read_toml_when_the_file_is_no_toml_then_it_is_named(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"must be a readable TOML file, got .*a\.toml .*{reason}"):
        read_toml(path)


def test_read_toml_when_there_is_no_file_then_it_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"got .*none\.toml \(No such file or directory\)"):
        read_toml(tmp_path / "none.toml")


def test_as_plain_when_settings_are_nested_then_json_takes_them_and_sets_are_in_order() -> None:
    plain = as_plain(
        {"crop": Crop(80.0), "roles": frozenset({"b", "a"}), 3: (Path("x"), None, True, math.inf)}
    )
    assert plain == {"crop": as_plain(Crop(80.0)), "roles": ["a", "b"], "3": ["x", None, True, None]}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


@dataclass(frozen=True)
class Fit:
    epochs: int = 60
    rate: float = 0.1
    precision: Literal["32", "bf16"] = "bf16"
    accelerator: str = "auto"


@dataclass(frozen=True)
class Training:
    fit: Fit = field(default_factory=lambda: Fit(epochs=6, rate=0.5))
    head: Fit = field(default_factory=Fit)
    more: dict[str, str] = field(default_factory=dict)
    folds: int = 5


def test_build_when_a_table_names_some_settings_then_the_others_are_those_of_the_field_that_holds_it() -> (
    None
):
    assert build(Training, {"fit": {"epochs": 2}}) == Training(fit=Fit(epochs=2, rate=0.5))
    assert build(Training, {"head": {"epochs": 2}}) == Training(head=Fit(epochs=2))
    with pytest.raises(ConfigError, match=r"fit has no setting 'epoch'"):
        build(Training, {"fit": {"epoch": 2}})


@dataclass(frozen=True)
class Held:
    crop: Crop = field(default_factory=lambda: Crop(80.0, margin_px=5))


def test_build_when_a_table_must_name_a_setting_then_the_field_that_holds_it_does_not_name_it_instead() -> (
    None
):
    assert build(Held, {"crop": {"size_mm": 60}}).crop == Crop(60.0, margin_px=5)
    with pytest.raises(ConfigError, match="crop must set size_mm, got margin_px"):
        build(Held, {"crop": {"margin_px": 3}})


def test_changes_when_one_of_a_table_is_changed_then_the_others_stay_as_they_are() -> None:
    made, told = build_changed(Training, {}, Changes(("fit.epochs=2", "folds=5")))
    assert made == Training(fit=Fit(epochs=2, rate=0.5))
    assert told == ("fit.epochs=2",), "what is as it was is not told"


def test_changes_when_precision_and_device_are_asked_then_every_fit_has_them() -> None:
    changes = Changes(("head.precision=bf16",), device="cpu", precision="32")
    made, told = build_changed(Training, {"fit": {"epochs": 1}}, changes)
    assert (made.fit.accelerator, made.head.accelerator) == ("cpu", "cpu")
    assert (made.fit.precision, made.head.precision) == ("32", "bf16"), "the nearer word counts"
    assert told == ("fit.precision=32",), "where it is run changes no result"


def test_changes_when_a_number_takes_the_place_of_a_text_then_it_is_a_text() -> None:
    assert build_changed(Training, {}, Changes(("fit.precision=32",)))[0].fit.precision == "32"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "fit.epoch=2",
            r"^fit has no setting 'epoch'; it has: .*; like fit\.epoch: fit\.epochs, head\.epochs$",
        ),
        (
            "epochs=2",
            r"^the configuration has no setting 'epochs'; .*; like epochs: fit\.epochs, head\.epochs$",
        ),
        ("nothing=2", r"^the configuration has no setting 'nothing'; it has: fit, head, more, folds$"),
        ("fit.epochs=two", r"^fit\.epochs must be a whole number, got 'two'$"),
        ("fit.epochs", r"^a setting must be NAME=VALUE, such as fit\.epochs=2, got 'fit\.epochs'$"),
        ("fit.=2", r"^a setting must be NAME=VALUE"),
        (
            "folds.all=2",
            r"^the name of a setting must go through tables, got 'folds\.all', in which 'folds' is none$",
        ),
    ],
)
def test_changes_when_a_setting_is_wrong_then_its_dotted_name_and_like_ones_are_said(
    setting: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_changed(Training, {}, Changes((setting,)))


def test_changes_when_nothing_can_run_elsewhere_then_a_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="must have one named accelerator to be 'cuda', got none"):
        build_changed(Crop, {"size_mm": 1.0}, Changes(device="cuda"))


@given(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text("abc=.[]{} '#", min_size=1))
def test_changes_when_a_value_is_written_as_toml_then_it_comes_back(n: int, x: float, text: str) -> None:
    settings = (f"fit.epochs={n}", f"fit.rate={x!r}", f"more.words={json.dumps(text)}")
    made, _ = build_changed(Training, {}, Changes(settings))
    assert (made.fit.epochs, made.fit.rate, made.more["words"]) == (n, x, text)
