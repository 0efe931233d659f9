"""One training of a recipe: pictures prepared, network built, fitted and asked; what a run does again and again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stenograde.datasets.aligned import align_samples, template_of
from stenograde.datasets.cache import cached_pictures
from stenograde.datasets.samples import SampleSet
from stenograde.errors import ConfigError, DatasetError
from stenograde.evaluate.predictions import Predictions
from stenograde.experiments.pictures.inference import predict_probabilities
from stenograde.experiments.pictures.recipe import Recipe
from stenograde.files import write_whole
from stenograde.images.align import write_template
from stenograde.nets.build import build_net
from stenograde.nets.encoder import SmallResnet
from stenograde.nets.middle_maps_classifier import MiddleMapsClassifier
from stenograde.nets.stn_resnet import StnResnet
from stenograde.nets.weights import Start, WeightReport, load_weights
from stenograde.terms import Level, Side
from stenograde.train.loop.fit import fit
from stenograde.train.loop.fit_config import Batch, Fitted, LossOf
from stenograde.train.loop.loss import build_loss, with_questions
from stenograde.train.pictures.batches import picture_batches, plain_batches
from stenograde.train.pictures.fixed_head import fit_head, kept_features
from stenograde.train.pictures.pretrain import PretrainConfig
from stenograde.workers import Progress, Step

TEMPLATE = "template.npz"
"""File of the template that pictures were cut around."""


@dataclass(frozen=True, eq=False)
class Material:
    """What all trainings of an experiment share."""

    samples: SampleSet
    pictures: NDArray[np.uint8]
    """Prepared, shape (n, rows, columns); row k is sample k."""
    levels: tuple[Level, ...] = ()
    """Columns of the extra input, when the level is one."""
    weights: Start | None = None
    """What networks start from; None for a random start."""
    digest: str = field(default="", repr=False)
    """SHA-256 of the samples' names, labels and contents."""
    folder: Path = Path()
    """Where the pictures are kept, and what frozen encoders see in them."""

    def level_rows(self, places: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Return the level of each picture as a row of zeros with a one, shape (n, levels); all zeros if unknown."""
        if not self.levels:
            return None
        rows = np.zeros((len(places), len(self.levels)), np.float32)
        for row, place in enumerate(places):
            level = self.samples.samples[place].level
            if level is not None:
                rows[row, self.levels.index(level)] = 1
        return rows

    def answers(self, places: tuple[int, ...], fact: str) -> NDArray[np.float32]:
        """Return a yes-or-no fact of each picture as 1, 0 or NaN where unknown, shape (n, 1)."""
        known = {"1": 1.0, "0": 0.0}
        texts = (self.samples.samples[place].facts.get(fact, "") for place in places)
        return np.array([[known.get(text[:1], np.nan)] for text in texts], np.float32)

    def predictions(self, places: tuple[int, ...], probabilities: NDArray[np.float64]) -> Predictions:
        """Return probabilities for some pictures beside what is known of them."""
        chosen = [self.samples.samples[place] for place in places]
        levels = tuple(sample.level.value if sample.level else None for sample in chosen)
        return Predictions(
            classes=self.samples.classes,
            names=tuple(sample.name for sample in chosen),
            patients=tuple(sample.patient for sample in chosen),
            labels=self.samples.codes[list(places)],
            probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
            groups=levels if any(levels) else None,
        )


def prepare(recipe: Recipe, samples: SampleSet, folder: Path, *, weights: Start | None = None) -> Material:
    """Return what trainings share: pictures cut, resampled and normalised, and kept in ``folder``.

    Those of right sides are mirrored where the recipe wants all to look like one side.

    Raises
    ------
    DatasetError
        If a picture cannot be read, or the level is to be an input and no sample has one.
    """
    levels: tuple[Level, ...] = ()
    if recipe.level_input:
        present = {sample.level for sample in samples.samples}
        levels = tuple(level for level in Level if level in present)
        if not levels:
            msg = f"{samples.name} must name levels for level_input, got none; give them or set level_input = false"
            raise DatasetError(msg)
    pictures = cached_pictures(samples, recipe.picture, folder)
    if recipe.one_side:
        right = np.array([sample.side is Side.RIGHT for sample in samples.samples])
        pictures = np.where(right[:, None, None], pictures[:, :, ::-1], pictures)
    known = hashlib.sha256(b"one side" if recipe.one_side else b"")
    for sample in samples.samples:
        known.update(f"{sample.name}\t{sample.label}\t{sample.level}\t{sample.picture.key}\n".encode())
    return Material(samples, pictures, levels, weights, known.hexdigest(), folder)


def cut(recipe: Recipe, material: Material, train: tuple[int, ...], folder: Path) -> Material:
    """Return the material with pictures cut around an anatomy, when the recipe asks for that.

    The template is fitted to the training pictures alone, so that nothing of a test picture reaches it.

    The folder gets the template and the cut pictures.
    """
    if recipe.align is None:
        return material
    template = template_of(material.samples.chosen(train), recipe.align, material.levels)
    write_whole(folder / TEMPLATE, write_template(template))
    pieces = align_samples(material.samples, template, recipe.align, material.levels)
    return replace(material, pictures=cached_pictures(pieces, recipe.picture, folder), folder=folder)


def fit_nets(
    recipe: Recipe,
    material: Material,
    train: tuple[int, ...],
    validation: tuple[int, ...],
    *,
    folder: Path,
    progress: Progress | None = None,
) -> tuple[tuple[Fitted, ...], tuple[WeightReport | None, ...]]:
    """Train a recipe's networks on some of the samples, and choose the best epoch of each on others.

    Parameters
    ----------
    recipe : Recipe
    material : Material
    train, validation : tuple of int
        Places of samples; without validation the last epoch's weights come out.
    folder : Path
        Gets checkpoints and logs; a training that was cut short resumes from them.
    progress : callable, optional
        Epochs are counted over all networks.

    Returns
    -------
    fitted : tuple of Fitted
        One for each of ``recipe.members``.
    starts : tuple of WeightReport or None
        What each of them started from; None for a random start.
    """
    done = []
    for number, member in enumerate(recipe.members):

        def told(step: Step, *, before: int = number * recipe.fit.epochs) -> None:
            if progress:
                total = len(recipe.members) * recipe.fit.epochs
                progress(replace(step, done=before + step.done, total=total))

        done.append(
            _fit_net(member, material, train, validation, folder=folder / f"net-{number + 1}", progress=told)
        )
    return tuple(fitted for fitted, _ in done), tuple(start for _, start in done)


def as_recipe(settings: PretrainConfig, recipe: Recipe) -> PretrainConfig:
    """Return settings of a pre-training with the encoder, picture size and input of a recipe.

    Raises
    ------
    ConfigError
        If the recipe's network has no small encoder of ours.
    """
    net = build_net(
        recipe.net.name,
        recipe.net.settings,
        classes=2,
        channels=recipe.batches.input.channels,
        size_px=recipe.picture.size_px,
    )
    encoder = getattr(net, "encoder", None)
    if not isinstance(encoder, SmallResnet):
        msg = f"recipe must have a small residual encoder to be pre-trained, got {recipe.name} with {recipe.net.name}"
        raise ConfigError(msg)
    # the recipe may cut its pictures around an anatomy, which pictures of another kind do not show
    picture = replace(recipe.picture, centre=(0.5, 0.5), share=(1.0, 1.0))
    return replace(settings, encoder=encoder.config, picture=picture, input=recipe.batches.input)


def _fit_net(
    recipe: Recipe,
    material: Material,
    train: tuple[int, ...],
    validation: tuple[int, ...],
    *,
    folder: Path,
    progress: Progress,
) -> tuple[Fitted, WeightReport | None]:
    torch.manual_seed(recipe.fit.seed)
    net, start = _new_net(recipe, material)
    if isinstance(net, MiddleMapsClassifier):
        return _fit_head(recipe, material, net, train), start
    codes = material.samples.codes
    batches = picture_batches(
        material.pictures[list(train)],
        codes[list(train)],
        recipe.batches,
        fit=recipe.fit,
        extra=material.level_rows(train),
        also=material.answers(train, recipe.question.fact) if recipe.question else None,
    )
    checked = plain_batches(
        material.pictures[list(validation)],
        codes[list(validation)],
        recipe.batches.input,
        batch=recipe.fit.batch,
        extra=material.level_rows(validation),
    ) if validation else None  # fmt: skip
    fitted = fit(
        net,
        batches,
        recipe.fit,
        loss_of=_loss(recipe, net, codes[list(train)], len(material.samples.classes)),
        folder=folder,
        validation=checked,
        progress=progress,
    )
    return fitted, start


def _fit_head(
    recipe: Recipe, material: Material, net: MiddleMapsClassifier, train: tuple[int, ...]
) -> Fitted:
    """Fit the last layer of a net whose encoder is frozen; what it sees is kept beside the pictures."""
    features = kept_features(
        net, material.pictures, recipe.batches.input, material.folder, mirrored=recipe.mirrored
    )
    chosen = [material.samples.samples[place] for place in train]
    fit_head(
        net,
        features[list(train)],
        material.samples.codes[list(train)],
        recipe.head,
        # where patients are unknown, each picture is one
        patients=[sample.patient or sample.name for sample in chosen],
        extra=material.level_rows(train),
        balanced=recipe.loss.class_weights == "inverse_frequency",
        seed=recipe.fit.seed,
    )
    return Fitted(net.eval(), (), 0)


def predicted(
    recipe: Recipe, material: Material, nets: Sequence[nn.Module], places: tuple[int, ...]
) -> Predictions:
    """Return the averaged predictions of networks for some of the samples."""
    pictures = material.pictures[list(places)]
    views = [pictures, pictures[:, :, ::-1]] if recipe.mirrored else [pictures]
    probabilities = [
        predict_probabilities(
            net,
            view,
            recipe.batches.input,
            extra=material.level_rows(places),
            batch=recipe.fit.batch,
            # the head of a frozen encoder was fitted to what it gives in 32 bits
            precision="32" if isinstance(net, MiddleMapsClassifier) else recipe.fit.precision,
            accelerator=recipe.fit.accelerator,
        )
        for net in nets
        for view in views
    ]
    return material.predictions(places, np.mean(probabilities, axis=0))


def _new_net(recipe: Recipe, material: Material) -> tuple[nn.Module, WeightReport | None]:
    asked = {"questions": 1} if recipe.question and recipe.net.name != "middle_maps" else {}
    net = build_net(
        recipe.net.name,
        {**recipe.net.settings, **asked},
        classes=len(material.samples.classes),
        channels=recipe.batches.input.channels,
        size_px=recipe.picture.size_px,
        extra=len(material.levels),
    )
    weights = material.weights if recipe.net.start == "given" else recipe.net.start
    report = None if weights is None else load_weights(net, weights)
    if isinstance(net, MiddleMapsClassifier):
        net.takes(recipe.batches.input.mean[0], recipe.batches.input.std[0])
    return net, report


def _loss(recipe: Recipe, net: nn.Module, codes: NDArray[np.int64], classes: int) -> LossOf:
    loss_of = build_loss(recipe.loss, codes, classes)
    if recipe.question:
        loss_of = with_questions(loss_of, recipe.question.weight)
    if not (recipe.theta_penalty and isinstance(net, StnResnet)):
        return loss_of
    transformer = net

    def with_penalty(output: Tensor, batch: Batch) -> Tensor:
        return loss_of(output, batch) + recipe.theta_penalty * transformer.penalty(batch["input"])

    return with_penalty
