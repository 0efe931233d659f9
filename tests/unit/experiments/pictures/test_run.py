"""Each recipe runs end to end on planted signs; what is done is not done again; every number has its company."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from tests.planted_pictures import canal_set, film_set, stack_set, tiny  # noqa: E402

from stenograde.datasets.samples import SampleSet  # noqa: E402
from stenograde.errors import ConfigError, DatasetError  # noqa: E402
from stenograde.evaluate.predictions import read_predictions  # noqa: E402
from stenograde.experiments.pictures import training  # noqa: E402
from stenograde.experiments.pictures.protocols import plan_arms, with_repeats  # noqa: E402
from stenograde.experiments.pictures.recipe import Recipe, read_recipe  # noqa: E402
from stenograde.experiments.pictures.result import Result, read_result  # noqa: E402
from stenograde.experiments.pictures.run import run_experiment  # noqa: E402
from stenograde.experiments.pictures.table import as_markdown  # noqa: E402
from stenograde.experiments.pictures.training import prepare  # noqa: E402
from stenograde.terms import Side  # noqa: E402
from stenograde.workers import Step  # noqa: E402


def _two_arms(recipe: Recipe) -> Recipe:
    return replace(recipe, variants={name: recipe.variants[name] for name in ("transformer", "plain")})


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """S2 by patient on planted films: its first two arms."""
    out = tmp_path_factory.mktemp("films")
    recipe = _two_arms(tiny("s2", epochs=8, learning_rate=3e-3))
    return run_experiment(recipe, film_set(36), "patient", out=out), out


def _value(result: Result, metric: str) -> float:
    score = result.main.scores[metric]
    assert score.bounded
    assert score.low <= score.value <= score.high
    return score.value


def test_s2_finds_the_planted_sign_and_says_what_the_transformer_brings(films: tuple[Result, Path]) -> None:
    result, out = films
    assert [arm.variant for arm in result.arms] == ["transformer", "plain"]
    assert _value(result, "auc_any") > 0.8
    assert result.main.baselines[0].scores["auc_any"].value == 0.5
    (comparison,) = result.comparisons
    assert (comparison.first, comparison.second) == ("transformer", "plain")
    assert set(comparison.differences) == {
        *("accuracy", "balanced_accuracy", "macro_f1", "auc_any"),
        *("sensitivity", "specificity", "f1"),
    }
    assert result.against_first == {"plain": comparison}
    # each picture is tested once, by a network that has not seen its patient
    predictions = read_predictions(out / "predictions.csv")
    assert sorted(predictions.names) == sorted(sample.name for sample in film_set(36).samples)
    assert {split.by for split in result.main.splits} == {"patient"}
    assert result.main.leak.shared_patients == 0


def test_s2_keeps_what_its_transformer_passes_on(films: tuple[Result, Path]) -> None:
    result, out = films
    with_transformer, plain = (arm.splits[0].cases for arm in result.arms)
    assert {case.straightened is None for case in with_transformer} == {False}
    assert {case.straightened is None for case in plain} == {True}
    for case in with_transformer:
        for name in (case.picture, case.heat, case.straightened):
            assert (out / "arms" / "transformer" / "split-01" / str(name)).is_file()


def test_the_result_holds_what_a_reader_needs(films: tuple[Result, Path]) -> None:
    result, out = films
    assert read_result(out) == result
    assert result.recipe["fit"]["epochs"] == 8
    assert result.recipe["protocols"]["patient"]["folds"] == 2
    assert "torch" in result.versions
    assert result.seconds > 0
    assert result.main.pretrained == "pre-trained: no"
    assert result.main.at_prevalence[0].shares == (0.5, 0.5)
    assert len(result.main.splits[0].history) == 8
    assert sum(map(sum, result.main.confusion)) == result.data.images == 72
    # an arm's folder is a result of its own, for `stenograde compare`
    alone = read_result(out / "arms" / "plain")
    assert alone.main == result.arms[1]
    assert (out / "arms" / "plain" / "predictions.csv").is_file()
    page = (out / "report.html").read_text(encoding="utf-8")
    assert '<strong class="chip plainly">pre-trained: no</strong>' in page


def test_a_finished_split_is_not_trained_again(
    films: tuple[Result, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, out = films
    again = tmp_path / "again"
    shutil.copytree(out, again)
    shutil.rmtree(again / "arms" / "plain" / "split-02")
    steps: list[Step] = []
    recipe = _two_arms(tiny("s2", epochs=8, learning_rate=3e-3))
    taken_up = run_experiment(recipe, film_set(36), "patient", out=again, progress=steps.append)
    assert {step.what for step in steps} == {"2/2 plain ResNet, split 2/2"}
    assert taken_up.arms[0] == result.arms[0]
    assert taken_up.arms[1].scores == result.arms[1].scores

    def never(*_arguments: object, **_settings: object) -> None:
        pytest.fail("nothing is left to be trained")

    monkeypatch.setattr(training, "fit", never)
    assert run_experiment(recipe, film_set(36), "patient", out=again) == taken_up


def test_s2_gains_of_each_step_over_the_plain_network_are_told_at_each_size(tmp_path: Path) -> None:
    """Two sizes of training set, all five arms: each against the first, and each step alone against the plain."""
    recipe = with_repeats(tiny("s2", epochs=1), train_patients=(4, 8))
    samples = _with_sides(film_set(20))
    result = run_experiment(recipe, samples, "patient", out=tmp_path)
    assert len(result.arms) == 10
    assert {arm.part for arm in result.arms} == {"4 patients", "8 patients"}
    assert {
        split.train + split.validation
        for arm in result.arms
        if arm.part == "4 patients"
        for split in arm.splits
    } == {8}
    assert result.main.part == "8 patients", "what is told first is of the most patients"
    pairs = {(found.first, found.second) for found in result.comparisons}
    assert len(pairs) == len(result.comparisons) == 14
    assert ("4-patients-transformer", "4-patients-plain") in pairs
    assert ("8-patients-one_side", "8-patients-plain") in pairs
    tables = as_markdown(result)
    assert "4 patients: one side only − 4 patients: plain ResNet" in tables
    assert "sensitivity" in tables


def _with_sides(samples: SampleSet) -> SampleSet:
    return replace(
        samples,
        samples=tuple(
            replace(sample, side=side) for sample, side in zip(samples.samples, cycle(Side), strict=False)
        ),
    )


def test_pictures_of_right_sides_are_mirrored_and_those_of_unknown_side_are_not(tmp_path: Path) -> None:
    recipe = tiny("s2")
    films = _with_sides(film_set(3))
    films = replace(films, samples=(*films.samples[:-1], replace(films.samples[-1], side=None)))
    stored = prepare(replace(recipe, one_side=False), films, tmp_path)
    turned = prepare(recipe, films, tmp_path)
    assert turned.digest != stored.digest
    for place, sample in enumerate(films.samples):
        wanted = stored.pictures[place]
        wanted = wanted[:, ::-1] if sample.side is Side.RIGHT else wanted
        np.testing.assert_array_equal(turned.pictures[place], wanted)
    # equalisation and mirroring come to the same in either order
    assert films.samples[1].side is Side.RIGHT
    assert not np.array_equal(turned.pictures[1], stored.pictures[1])


def test_another_experiment_in_the_same_folder_is_refused(films: tuple[Result, Path]) -> None:
    _, out = films
    recipe = _two_arms(tiny("s2", epochs=9, learning_rate=3e-3))
    with pytest.raises(ConfigError, match="--out must be new or hold this very experiment"):
        run_experiment(recipe, film_set(36), "patient", out=out)


def test_s0_runs_its_eight_switch_settings_in_one_go(tmp_path: Path) -> None:
    result = run_experiment(tiny("s0", epochs=1), canal_set(10), "published", out=tmp_path)
    assert len(result.arms) == 8
    assert len({arm.splits[0].parameters for arm in result.arms}) == 8
    assert len(result.comparisons) == 7
    # scored on the pictures that chose the weights, as the document does
    split = result.main.splits[0]
    assert split.by == "image"
    assert split.validation == split.test == 6
    assert split.train == 24
    assert [baseline.name for baseline in result.main.baselines] == ["majority", "level only"]


def test_s1_as_published_has_twins_and_a_second_arm_without(tmp_path: Path) -> None:
    recipe = tiny("s1", epochs=2)
    published = replace(recipe.protocols.published, per_class=4)
    recipe = replace(recipe, protocols=replace(recipe.protocols, published=published))
    result = run_experiment(recipe, canal_set(12), "published", out=tmp_path)
    twins, clean = result.arms
    assert [sum(row) for row in twins.confusion] == [4, 4, 4]
    assert twins.splits[0].train == clean.splits[0].train + 12
    assert (twins.leak.twins, twins.leak.leaking) == (12, 12)
    assert twins.leak.on_clean == {}
    assert read_predictions(tmp_path / "predictions.csv").names
    populations = {at.name: at for at in twins.at_prevalence}
    assert populations["spinal canal in RSNA 2024 (train.csv, 1,975 studies)"].majority == pytest.approx(
        0.877, abs=1e-3
    )


def test_s4_repeats_holdouts_of_each_weighting_and_tests_the_difference(tmp_path: Path) -> None:
    recipe = tiny("s4", epochs=1)
    result = run_experiment(recipe, stack_set(6), "patient", out=tmp_path)
    assert [arm.part for arm in result.arms] == ["T1", "T2"]
    assert [len(arm.splits) for arm in result.arms] == [3, 3]
    assert [test.metric for test in result.repeats] == [
        "accuracy",
        "macro_precision",
        "macro_recall",
        "macro_f1",
    ]
    assert {(test.first, test.second) for test in result.repeats} == {("T1", "T2")}
    assert all(0 <= test.p <= 1 for test in result.repeats)
    position = result.main.baselines[-1]
    assert position.name == "position"
    assert position.scores["accuracy"].value == 1.0
    # a slice may be tested in several repeats, and each answer counts
    names = read_predictions(tmp_path / "predictions.csv").names
    assert {name[:4] for name in names} == {"r01/", "r02/", "r03/"}


def test_the_level_can_be_an_input(tmp_path: Path) -> None:
    recipe = replace(tiny("s1", epochs=1), level_input=True)
    result = run_experiment(recipe, canal_set(6), "patient", out=tmp_path)
    plain = run_experiment(tiny("s1", epochs=1), canal_set(6), "patient", out=tmp_path / "plain")
    more = result.main.splits[0].parameters - plain.main.splits[0].parameters
    assert more == 3 * len(result.data.classes)
    with pytest.raises(DatasetError, match="must name levels for level_input"):
        run_experiment(replace(recipe, task="foraminal_xray"), film_set(6), "patient", out=tmp_path / "none")


def test_a_question_is_asked_in_training_and_not_counted_as_a_class(tmp_path: Path) -> None:
    whole = with_repeats(read_recipe("axial-canal"), folds=2)
    assert whole.question is not None
    recipe = replace(
        whole,
        starts=1,
        beside=(),
        picture=replace(whole.picture, size_px=(32, 32)),
        fit=replace(whole.fit, epochs=1, batch=8),
    )
    samples = canal_set(6)
    told = [
        replace(sample, facts={"bulge": text})
        for sample, text in zip(samples.samples, cycle(["0", "1 (M)", "1", "-"]), strict=False)
    ]
    result = run_experiment(recipe, replace(samples, samples=tuple(told)), "patient", out=tmp_path / "told")
    unasked = replace(recipe, question=None)
    other = run_experiment(unasked, samples, "patient", out=tmp_path / "unasked")
    more = result.main.splits[0].parameters - other.main.splits[0].parameters
    assert more == 1 + (192 + 3)  # one more row of the last layer: features, levels, bias
    silent = run_experiment(recipe, samples, "patient", out=tmp_path / "silent")
    untold = "no picture has the fact 'bulge': the recipe's question was not asked"
    assert untold in silent.data.notes
    assert untold not in result.data.notes
    material = training.prepare(recipe, replace(samples, samples=tuple(told)), tmp_path / "pictures")
    assert material.answers((0, 1, 2), "bulge").ravel().tolist() == [0, 1, 1]
    assert np.isnan(material.answers((3,), "bulge")).all()


def test_several_starts_are_averaged_and_counted(tmp_path: Path) -> None:
    recipe, samples = replace(tiny("s1", epochs=1), starts=2), canal_set(6)
    seen: list[Step] = []
    both = run_experiment(recipe, samples, "patient", out=tmp_path / "both", progress=seen.append)
    assert max(step.done for step in seen) == seen[0].total == 2
    apart = []
    for number, member in enumerate(recipe.members):
        # the folds depend on the seed, too: each member is asked about the splits of the whole recipe
        material = training.prepare(recipe, samples.labelled(), tmp_path / "pictures")
        trial = plan_arms(recipe, samples.labelled(), "patient")[0].trials[0]
        (fitted,), _ = training.fit_nets(
            member, material, trial.fitted_on, trial.validation, folder=tmp_path / f"net-{number}"
        )
        apart.append(training.predicted(member, material, [fitted.net], trial.test).probabilities)
    kept = read_predictions(tmp_path / "both/arms/main/split-01/predictions.csv").probabilities
    np.testing.assert_allclose(kept, np.mean(apart, axis=0), atol=1e-6)
    assert not np.allclose(*apart)
    assert both.main.splits[0].parameters == 2 * sum(weight.numel() for weight in fitted.net.parameters())


def test_weights_that_are_given_are_said_and_listed(tmp_path: Path) -> None:
    from stenograde.nets.build import build_net

    recipe = tiny("s1", epochs=1)
    net = build_net(recipe.net.name, recipe.net.settings, classes=3, channels=3, size_px=(32, 32))
    torch.save(net.state_dict(), tmp_path / "start.pt")
    result = run_experiment(
        recipe, canal_set(6), "patient", out=tmp_path / "out", weights=tmp_path / "start.pt"
    )
    assert result.main.pretrained.startswith("pre-trained: yes, ")
    listed = json.loads((tmp_path / "out/arms/main/split-01/weights.json").read_text(encoding="utf-8"))
    assert listed["missing"] == []
    assert 'class="chip plainly"' not in (tmp_path / "out/report.html").read_text(encoding="utf-8")
