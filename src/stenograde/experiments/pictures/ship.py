"""From a recipe and its result to a bundle: networks fitted on all pictures, their graphs, a card with the scores."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from stenograde.config import as_plain
from stenograde.datasets.samples import SampleSet
from stenograde.datasets.sudirman import LEVEL_OF_DISC
from stenograde.errors import ConfigError
from stenograde.experiments.pictures.recipe import Recipe
from stenograde.experiments.pictures.result import Arm, Result, as_stored
from stenograde.experiments.pictures.run import FITTED_BY
from stenograde.experiments.pictures.stamp import commit_of, versions
from stenograde.experiments.pictures.table import scores_table
from stenograde.experiments.pictures.training import TEMPLATE, Material, cut, fit_nets, prepare
from stenograde.nets.build import PictureNet
from stenograde.nets.efficientnet_lite import PACKAGES
from stenograde.nets.weights import NOT_PRETRAINED, Start
from stenograde.predict.bundle import BUNDLE_FILE
from stenograde.predict.classifier import ClassifierTable
from stenograde.predict.weight_files import WeightFile
from stenograde.terms import Level
from stenograde.train.weights.bundle_toml import as_toml, weight_file
from stenograde.train.weights.export import export_classifier
from stenograde.workers import Progress

LEVEL_PATTERN = r"(?:^|_)(D[345])(?:\.|_|$)"
"""Disc in a file name such as T1_0001_D4, as the Sudirman set names its discs."""


@dataclass(frozen=True)
class Shipping:
    """What of a recipe is shipped, and under what name."""

    name: str
    version: str
    limits: str = ""
    """Paragraph of the card: what a user must know that no score says."""
    licence: str = ""
    """Licence of the data, where its reader does not know it."""
    weights_from: str = ""
    """What the file of weights was pre-trained on, with its licence, for the card."""
    level_names: dict[str, Level] = field(default_factory=lambda: dict(LEVEL_OF_DISC))

    def __post_init__(self) -> None:
        if not self.name:
            msg = "a bundle needs a name, got none"
            raise ValueError(msg)


def ship(
    recipe: Recipe,
    samples: SampleSet,
    result: Result,
    shipping: Shipping,
    *,
    out: Path,
    weights: Start | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fit a recipe's networks on all labelled pictures and write a bundle; started again it resumes.

    Parameters
    ----------
    recipe : Recipe
    samples : SampleSet
    result : Result
        Result of the same recipe by patient: where the card's scores come from.
    shipping : Shipping
    out : Path
        Becomes the bundle; checkpoints lie in ``out/training``.
    weights : Path or str, optional
        What networks start from, as in the result.
    progress : callable, optional

    Raises
    ------
    ConfigError
        If the result is of other settings or another start, or not by patient.
    """
    _check_result(recipe, result, weights)
    if isinstance(weights, Path) and not shipping.weights_from:
        msg = f"--weights-from must say what {weights.name} was pre-trained on and its licence, got nothing"
        raise ConfigError(msg)
    work = out / "training"
    labelled = samples.labelled()
    every = tuple(range(len(labelled)))
    material = prepare(recipe, labelled, work / "pictures", weights=weights)
    material = cut(recipe, material, every, work / "pieces")
    fitted, _ = fit_nets(recipe, material, every, (), folder=work, progress=progress)
    files = [
        export_classifier(cast(PictureNet, one.net), out, f"net-{number}", size_px=recipe.picture.size_px)
        for number, one in enumerate(fitted, start=1)
    ]
    _write(recipe, material, shipping, files, out, result)
    shutil.rmtree(work)
    return out


def _check_result(recipe: Recipe, result: Result, weights: Start | None) -> None:
    if recipe.one_side:
        msg = f"a bundle must take pictures as they are, got {recipe.name} with one_side, which needs their side"
        raise ConfigError(msg)
    ours, theirs = recipe.as_table(), dict(result.recipe)
    other = [name for name in FITTED_BY if as_plain(ours.get(name)) != as_plain(theirs.get(name))]
    if result.protocol != "patient" or other:
        got = f"protocol {result.protocol}" if not other else f"other settings of {', '.join(other)}"
        msg = f"a bundle's result must be by patient and of the same recipe and size, got {got}; run the experiment"
        raise ConfigError(msg)
    unweighted = weights is None and any(member.net.start == "given" for member in recipe.members)
    if unweighted != (NOT_PRETRAINED in result.main.pretrained):
        msg = f"--weights must be as in the result, got {weights or 'none'} where it says {result.main.pretrained!r}"
        raise ConfigError(msg)


def _write(
    recipe: Recipe,
    material: Material,
    shipping: Shipping,
    files: list[tuple[WeightFile, WeightFile]],
    out: Path,
    result: Result,
) -> None:
    template = None
    if recipe.align is not None:
        shutil.copyfile(out / "training" / "pieces" / TEMPLATE, out / TEMPLATE)
        template = weight_file(out / TEMPLATE)
    named = {name: level for name, level in shipping.level_names.items() if level in material.levels}
    table = ClassifierTable(
        kind="classifier",
        name=shipping.name,
        version=shipping.version,
        task=recipe.shown_task,
        classes=material.samples.classes,
        graphs=tuple(graph for graph, _ in files),
        weights=tuple(weights for _, weights in files),
        picture=recipe.picture,
        input=recipe.batches.input,
        mirrored=recipe.mirrored,
        levels=material.levels,
        level_names=named,
        level_pattern=LEVEL_PATTERN if named else "",
        template=template,
        align=recipe.align,
    )
    (out / BUNDLE_FILE).write_text(as_toml(asdict(table)), encoding="utf-8")
    (out / "card.md").write_text(_card(recipe, material, shipping, result), encoding="utf-8")
    made: dict[str, Any] = {
        "recipe": recipe.as_table(),
        "versions": versions(),
        "commit": commit_of(Path(__file__).parent),
        "scores": {name: asdict(score, dict_factory=as_stored) for name, score in result.main.scores.items()},
    }
    (out / "training.json").write_text(
        json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _card(recipe: Recipe, material: Material, shipping: Shipping, result: Result) -> str:
    arm: Arm = result.main
    samples = material.samples
    counts = ", ".join(f"{name} {int((samples.codes == k).sum())}" for k, name in enumerate(samples.classes))
    liberties = "\n".join(f"- {one}" for one in (*recipe.liberties, *recipe.traps))
    size = "" if recipe.size == "published" else f" --size {recipe.size}"
    size += "".join(f" --set {shlex.quote(one)}" for one in recipe.changed or ())
    given = material.weights.name if isinstance(material.weights, Path) else material.weights
    start = f" --weights {given}" if given else ""
    sources = _packages(recipe, material.weights) + (
        f" {shipping.weights_from}" if shipping.weights_from else ""
    )
    return f"""# {shipping.name}

Research software, not a medical device. It answers one question about one picture: {recipe.shown_task}.

## Trained on

{samples.name} ({shipping.licence or samples.licence}): {len(samples)} labelled pictures of
{len(set(samples.patients))} patients ({counts}). {"" if sources else "Nothing else; "}**{arm.pretrained}**.{sources}
Networks whose answers are averaged: {len(recipe.members)}. Made by

```
stenograde experiment {recipe.name} --data DIR --protocol patient{size}{start} --out RESULT
stenograde experiment ship {recipe.name} --data DIR --result RESULT{size}{start} --name {shipping.name} \\
  --out BUNDLE
```

## Tested on

{len(arm.splits)} splits of the same pictures by patient: no patient's pictures on both sides; {arm.leak.leaking} of
{arm.leak.tested} test pictures looked like a training picture. For each split such
networks were trained without its test patients; the shipped ones are trained on all patients, and have no test of
their own here. 95 % intervals by bootstrap over patients.

{scores_table(result)}

What stands beside it needs no picture: always the most common class, the level or the slice's position alone.

## Know before use

{liberties}

{shipping.limits}
"""


def _packages(recipe: Recipe, weights: Start | None) -> str:
    """Return the packages that carry the ImageNet weights which a recipe's networks start from, and their licence."""
    starts = {"given": weights, "imagenet": "imagenet"}
    choices = [choice for choice in (recipe.net, *recipe.beside) if starts[choice.start] == "imagenet"]
    names = {str(choice.settings.get("encoder")) for choice in choices} & set(PACKAGES)
    found = ", ".join(PACKAGES[name].replace("_", "-") for name in sorted(names))
    return f" ImageNet weights are those of {found} (Apache-2.0)." if found else ""
