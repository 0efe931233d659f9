"""The recipes that ship hold what their documents publish; what is unknown or wrong is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

from stenograde.config import build, read_toml
from stenograde.errors import ConfigError
from stenograde.experiments.pictures.recipe import Recipe, read_recipe
from stenograde.experiments.recipes.catalogue import RECIPES, entries, kind_of
from stenograde.experiments.recipes.read import Size, overlaid
from stenograde.nets.build import net_config

NETWORKS = tuple(name for name in RECIPES if kind_of(name) == "network")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", ["quick", "published"])
def test_each_recipe_fits_its_network_in_all_its_arms(name: str, size: str) -> None:
    recipe = read_recipe(name, size)  # type: ignore[arg-type]
    assert (recipe.name, recipe.size) == (name, size)
    settings = [overlaid(recipe.net.settings, variant.settings) for variant in recipe.variants.values()]
    for one in settings or [recipe.net.settings]:
        net_config(
            recipe.net.name,
            one,
            classes=3,
            channels=recipe.batches.input.channels,
            size_px=recipe.picture.size_px,
        )


@pytest.mark.parametrize("name", ["s0", "s1", "s2", "s4"])
def test_the_quick_size_is_smaller_and_nothing_else_is_another_experiment(name: str) -> None:
    quick, published = read_recipe(name, "quick"), read_recipe(name, "published")
    assert quick.picture.size_px < published.picture.size_px
    for setting in ("claim", "protocols", "variants", "loss", "batches", "task", "apart", "traps"):
        assert getattr(quick, setting) == getattr(published, setting)
    assert quick.net.name == published.net.name
    assert quick.fit.optimiser == published.fit.optimiser


def test_s1_holds_the_published_settings() -> None:
    recipe = read_recipe("s1", "published")
    assert recipe.net.settings["widths"] == (32, 64, 128, 256, 512)
    assert recipe.net.settings["dense"] == (512, 256)
    assert recipe.net.settings["dense_dropout"] == 0.5
    assert recipe.picture.size_px == (256, 256)
    assert recipe.batches.input.channels == 3
    assert (recipe.fit.optimiser, recipe.fit.epochs, recipe.fit.patience) == ("adam", 25, 5)
    augment = recipe.batches.augment
    assert augment is not None
    assert (augment.shift, augment.zoom, augment.turn_deg, augment.flip) == (0.1, 0.1, 0.0, "horizontal")
    assert (recipe.batches.balance, recipe.batches.copies) == ("augmentation", "once")
    published = recipe.protocols.published
    assert (published.split, published.per_class, published.twins) == ("balanced_test", 100, True)
    assert published.levels_by == "clusters"


def test_s4_holds_the_published_settings() -> None:
    recipe = read_recipe("s4", "published")
    assert dict(recipe.net.settings) == {"encoder": "inception_resnet_v2", "source": "timm"}
    fit = recipe.fit
    assert (fit.optimiser, fit.learning_rate, fit.head_multiplier) == ("sgd", 1e-4, 20.0)
    assert (fit.batch, fit.epochs, fit.momentum) == (10, 4, 0.9)
    for protocol in (recipe.protocols.published, recipe.protocols.patient):
        assert (protocol.repeats, protocol.test_share) == (20, 0.2)
    assert recipe.protocols.patient.split == "holdouts"
    assert recipe.apart == "weighting"
    assert recipe.claim.parts["T2"]["accuracy"] == 0.93


def test_s0_has_every_setting_of_its_three_switches() -> None:
    recipe = read_recipe("s0")
    switches = ("self_attention", "slots", "cbam")
    settings = [overlaid(recipe.net.settings, variant.settings) for variant in recipe.variants.values()]
    found = [tuple(one[switch] for switch in switches) for one in settings]
    assert found[0] == (True, True, True)
    assert sorted(found) == sorted(product((False, True), repeat=3))


def test_s2_has_the_plain_network_and_each_step_alone_as_arms() -> None:
    recipe = read_recipe("s2", "published")
    assert recipe.net.settings["variant"] == "resnet50"
    assert recipe.picture.intensity == "equalise"
    steps = {
        name: (
            overlaid(recipe.net.settings, arm.settings)["transformer"],
            (arm.intensity or recipe.picture.intensity) == "equalise",
            recipe.one_side if arm.one_side is None else arm.one_side,
        )
        for name, arm in recipe.variants.items()
    }
    assert list(steps)[:2] == ["transformer", recipe.reference]
    assert steps["transformer"] == (True, True, True)
    assert steps["plain"] == (False, False, False)
    assert sorted(list(steps.values())[2:]) == [
        (False, False, True),
        (False, True, False),
        (True, False, False),
    ]
    assert recipe.theta_penalty > 0


@pytest.mark.parametrize("size", ["quick", "published"])
def test_the_recipe_of_the_cervical_phantom_is_s2_with_a_learning_curve(size: Size) -> None:
    path = Path(__file__).parents[4] / "docs" / "experiments" / "s2-cervical.toml"
    ours, plain = read_recipe(path, size), read_recipe("s2", size)
    assert ours.protocols.patient.train_patients == (40, 100, 250)
    assert replace(ours, protocols=plain.protocols) == plain


@pytest.mark.parametrize(
    ("name", "others"),
    [
        (
            "s2",
            {
                "net",
                "head",
                "fit",
                "picture",
                "batches",
                "theta_penalty",
                "variants",
                "protocols",
                "liberties",
            },
        ),
        ("s4", {"net", "head", "fit", "picture", "batches", "liberties"}),
        ("axial-canal", {"net", "beside", "question", "liberties"}),
    ],
)
def test_the_recipes_of_frozen_networks_differ_as_they_say(name: str, others: set[str]) -> None:
    path = Path(__file__).parents[4] / "docs" / "experiments" / f"{name}-frozen.toml"
    ours, plain = read_recipe(path, "published"), read_recipe(name, "published")
    assert ours.net.name == "middle_maps"
    changed = {one.name for one in fields(Recipe) if getattr(ours, one.name) != getattr(plain, one.name)}
    assert changed == others


def test_a_network_beside_is_a_member_of_its_own() -> None:
    whole = read_recipe("axial-canal")
    alone = read_recipe(Path(__file__).parents[4] / "docs" / "experiments" / "axial-canal-frozen.toml")
    own, frozen = whole.members
    assert own == replace(whole, beside=())
    assert (frozen.net, frozen.head) == (replace(alone.net, start="imagenet"), alone.head)


def test_a_resolved_recipe_can_be_read_again() -> None:
    recipe = read_recipe("s0", "quick")
    assert build(Recipe, recipe.as_table()) == recipe


def test_ones_own_recipe_is_read_from_its_path(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        RECIPES["s1"].read_text(encoding="utf-8").replace("epochs = 25", "epochs = 3"), encoding="utf-8"
    )
    assert read_recipe(path, "published").fit.epochs == 3
    assert read_recipe(str(path), "quick").fit.epochs == 20


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("[fit]", "[fit]\nepoch = 3"), "fit has no setting 'epoch'"),
        (("size_px = [256, 256]", 'size_px = "big"'), "picture.size_px must be a list"),
        (("prevalence = [0.878, 0.075, 0.048]", "prevalence = [0.9, 0.9, 0.9]"), "prevalence must sum to 1"),
        (("prevalence = [0.878, 0.075, 0.048]", ""), "must be given together"),
        (('name = "s1"', 'name = "s1"\nstarts = 0'), "starts must be at least 1, got 0"),
        (("twins = true", "test_share = 1.5"), "shares between 0 and 1"),
        (('name = "s1"', 'name = "s1"\nsize = "quick"'), "must not set size"),
    ],
)
def test_a_wrong_recipe_is_refused_and_named(change: tuple[str, str], text: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(RECIPES["s1"].read_text(encoding="utf-8").replace(*change, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=text):
        read_recipe(path, "published")


def test_an_unknown_recipe_or_size_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"one of s0, s1, s2, s3, s3-fusion, s3-spider, s4.* or a path ending in \.toml, got 's9'",
    ):
        read_recipe("s9")
    with pytest.raises(ConfigError, match="size must be one of quick, published"):
        read_recipe("s1", "huge")  # type: ignore[arg-type]


def test_overlaid_joins_tables_and_replaces_all_else() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 4}
    assert overlaid(below, {"a": {"c": [3]}, "d": {"e": 5}}) == {"a": {"b": 1, "c": [3]}, "d": {"e": 5}}
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 4}


def test_the_list_says_of_each_recipe_what_its_file_says() -> None:
    listed = {entry.name: entry for entry in entries()}
    assert list(listed) == list(RECIPES)
    for name, path in RECIPES.items():
        table = read_toml(path)
        assert (listed[name].document, listed[name].data) == (table["document"], table["data"])
    assert len(listed["s0"].arms) == 8


def test_a_kind_that_there_is_not_is_refused(tmp_path: Path) -> None:
    assert {kind_of(name) for name in RECIPES} == {"network", "grid", "fusion", "discs"}
    (tmp_path / "own.toml").write_text('kind = "web"')
    with pytest.raises(ConfigError, match="must be one of network, grid, fusion, discs, got 'web'"):
        kind_of(str(tmp_path / "own.toml"))
