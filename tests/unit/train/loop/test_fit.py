"""The loop learns, keeps the best weights, and goes on after an interruption as if there had been none."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from torch import Tensor, nn  # noqa: E402

from stenograde.errors import ConfigError  # noqa: E402
from stenograde.train.loop.fit import Batch, FitConfig, Fitted, compiles, fit  # noqa: E402
from stenograde.train.weights.export import check_export  # noqa: E402
from stenograde.workers import Progress, Step  # noqa: E402

CONFIG = FitConfig(
    epochs=4, batch=4, precision="32", average=0.5, learning_rate=1e-2, accelerator="cpu", seed=3
)


class Blobs:
    """Two classes of small pictures, with noise that depends on (epoch, batch) alone."""

    def __init__(self, n: int = 6, offset: float = 1.0) -> None:
        self.n, self.offset = n, offset

    def __len__(self) -> int:
        return self.n

    def batches(self, epoch: int, rank: int, world: int) -> Generator[Batch, None, None]:
        for number in range(rank, self.n, world):
            generator = torch.Generator().manual_seed(epoch * 100 + number)
            target = torch.arange(4) % 2
            noise = torch.randn(4, 1, 6, 6, generator=generator)
            yield {"input": noise + self.offset * target[:, None, None, None], "target": target}


class Net(nn.Module):
    """With drop-out and running statistics, which a resumed fit must give again."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3))
        self.head = nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean(dim=(2, 3)))


def loss_of(output: Tensor, batch: Batch) -> Tensor:
    return nn.functional.cross_entropy(output, batch["target"])


def fit_blobs(
    folder: Path,
    config: FitConfig = CONFIG,
    *,
    progress: Progress | None = None,
    offset: float = 1.0,
) -> Fitted:
    return fit(
        Net(),
        Blobs(offset=offset),
        config,
        loss_of=loss_of,
        folder=folder,
        validation=Blobs(3, offset),
        progress=progress,
    )


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_fit_when_there_is_a_sign_to_learn_then_it_is_learnt(tmp_path: Path) -> None:
    fitted = fit_blobs(tmp_path, replace(CONFIG, epochs=12))
    assert fitted.history[-1].loss < 0.5 * fitted.history[0].loss
    assert fitted.history[-1].accuracy is not None
    assert fitted.history[-1].accuracy > 0.9
    assert not fitted.net.training


@pytest.mark.skipif(
    not any(map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))), reason="needs a C++ compiler"
)
@pytest.mark.filterwarnings(
    "default::DeprecationWarning"
)  # the compiler and the exporter warn of their own age
def test_fit_when_compiled_then_losses_names_and_export_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)  # the compiler's progress bar would leave a thread
    fitted = {}
    for compiled in ("no", "always"):
        net = Net()
        net.body[3].p = 0.0  # drop-out is drawn otherwise where it is compiled
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        with torch._inductor.config.patch(compile_threads=1):
            fitted[compiled] = fit(
                net,
                Blobs(),
                replace(CONFIG, epochs=2, average=0.0, compiled=compiled),
                loss_of=loss_of,
                folder=tmp_path / compiled,
            )
        made = torch._dynamo.utils.counters["stats"]["unique_graphs"] - before
        assert (made > 0) == (compiled == "always")
    eager, fast = fitted["no"], fitted["always"]
    assert [one.loss for one in fast.history] == pytest.approx([one.loss for one in eager.history], abs=1e-4)
    assert type(fast.net) is Net
    weights = fast.net.state_dict()
    assert weights.keys() == Net().state_dict().keys()
    stored = torch.load(tmp_path / "always" / "checkpoint.pt", weights_only=True)
    assert stored["net"].keys() == weights.keys()
    path = tmp_path / "net.onnx"
    pictures = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(fast.net, (pictures,), path, input_names=["pictures"], dynamo=False)
    with torch.no_grad():
        check_export(fast.net, path, {"pictures": pictures})


@pytest.mark.parametrize(
    ("compiled", "device", "wanted"),
    [("no", "cuda", False), ("cuda", "cuda", True), ("cuda", "cpu", False), ("always", "cpu", True)],
)
def test_a_net_is_compiled_where_it_is_asked_for(compiled: str, device: str, wanted: bool) -> None:
    assert compiles(replace(CONFIG, compiled=compiled), torch.device(device)) is wanted


def test_fit_when_killed_in_mid_epoch_then_it_goes_on_bit_by_bit(tmp_path: Path) -> None:
    whole = fit_blobs(tmp_path / "whole")
    code = f"""
import os, signal, torch
torch.set_num_threads({torch.get_num_threads()})
from tests.unit.train.loop.test_fit import fit_blobs
from pathlib import Path
def progress(step):
    if step.done > 2.3 and step.loss is None:
        os.kill(os.getpid(), signal.SIGKILL)
fit_blobs(Path({str(tmp_path / "parts")!r}), progress=progress)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[4], check=False, env=dict(os.environ)
    )
    assert ended.returncode == -signal.SIGKILL
    steps: list[Step] = []
    resumed = fit_blobs(tmp_path / "parts", progress=steps.append)
    losses = [(record.loss, record.validation_loss) for record in whole.history]
    assert [step for step in steps if step.loss is not None] == [
        Step("parts", 3, 4, "epoch", *losses[2]),
        Step("parts", 4, 4, "epoch", *losses[3]),
    ]
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch
    assert same_weights(resumed.net, whole.net)


def test_fit_when_finished_then_nothing_is_done_again(tmp_path: Path) -> None:
    first = fit_blobs(tmp_path)
    calls: list[Step] = []
    again = fit_blobs(tmp_path, progress=calls.append)
    assert calls == []
    assert again.history == first.history
    assert same_weights(again.net, first.net)


def test_fit_when_validation_worsens_then_it_stops_and_gives_the_best_weights(tmp_path: Path) -> None:
    """With a learning rate far too high the first epochs are best; the weights are those that gave the loss."""
    config = replace(
        CONFIG, epochs=40, patience=3, average=0.0, learning_rate=0.5, optimiser="sgd", schedule="constant"
    )
    fitted = fit_blobs(tmp_path, config, offset=0.05)
    losses = [record.validation_loss for record in fitted.history]
    assert len(losses) == fitted.best_epoch + 3 < 40
    assert losses[fitted.best_epoch - 1] == min(losses)
    with torch.no_grad():
        again = [loss_of(fitted.net(batch["input"]), batch) for batch in Blobs(3, 0.05).batches(0, 0, 1)]
    assert float(torch.stack(again).mean()) == pytest.approx(min(losses), abs=1e-6)
    assert losses[-1] != pytest.approx(min(losses), abs=1e-6)


def test_fit_when_the_head_has_a_multiplier_then_it_alone_learns_faster(tmp_path: Path) -> None:
    """One step of plain sgd moves each parameter by its learning rate times the same gradient."""
    config = replace(
        CONFIG,
        epochs=1,
        optimiser="sgd",
        momentum=0.0,
        weight_decay=0.0,
        schedule="constant",
        average=0.0,
        clip=0.0,
    )
    moved = {}
    for multiplier in (1.0, 20.0):
        net = fit(
            Net(),
            Blobs(1),
            replace(config, head_multiplier=multiplier),
            loss_of=loss_of,
            folder=tmp_path / str(multiplier),
        ).net
        start = Net()
        moved[multiplier] = {
            name: value - dict(start.named_parameters())[name] for name, value in net.named_parameters()
        }
    for name, by_one in moved[1.0].items():
        factor = 20.0 if name.startswith("head.") else 1.0
        assert torch.allclose(moved[20.0][name], factor * by_one, atol=1e-6), name


def test_fit_when_net_has_no_head_then_a_multiplier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must have a module 'head' for head_multiplier 20"):
        fit(
            nn.Conv2d(1, 1, 1),
            Blobs(),
            replace(CONFIG, head_multiplier=20),
            loss_of=loss_of,
            folder=tmp_path,
        )


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_fit_with_every_optimiser_and_schedule_ends_at_the_rate_it_should(
    optimiser: str, schedule: str, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=2, optimiser=optimiser, schedule=schedule)  # type: ignore[arg-type]
    rates = [record.learning_rate for record in fit_blobs(tmp_path, config).history]
    if schedule == "constant":
        assert rates == [config.learning_rate] * 2
    else:
        assert rates[1] < 0.05 * config.learning_rate < rates[0]


def test_fit_in_bf16_gives_nearly_the_same_loss(tmp_path: Path) -> None:
    exact = fit_blobs(tmp_path / "32").history[-1].loss
    mixed = fit_blobs(tmp_path / "bf16", replace(CONFIG, precision="bf16")).history[-1].loss
    assert mixed != exact
    assert mixed == pytest.approx(exact, rel=0.1)


def test_logs_hold_every_epoch_once_even_after_going_on(tmp_path: Path) -> None:
    history = fit_blobs(tmp_path).history
    with (tmp_path / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert [float(row["validation_loss"]) for row in rows] == [r.validation_loss for r in history]


def test_tensorboard_log_holds_the_losses(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = fit_blobs(tmp_path).history
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.value for event in events.Scalars("validation_loss")] == pytest.approx(
        [record.validation_loss for record in history]
    )


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    fit_blobs(tmp_path)
    with pytest.raises(ConfigError, match=r"of the same settings, got seed 3 instead of 4"):
        fit_blobs(tmp_path, replace(CONFIG, seed=4))


def test_checkpoint_of_another_net_is_refused(tmp_path: Path) -> None:
    fit_blobs(tmp_path)
    with pytest.raises(ConfigError, match="of the same net"):
        fit(nn.Conv2d(1, 2, 3), Blobs(), CONFIG, loss_of=loss_of, folder=tmp_path)


def test_loss_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="loss must be finite, got nan"):
        fit(Net(), Blobs(), CONFIG, loss_of=lambda out, _: out.sum() * torch.nan, folder=tmp_path)


def test_patience_without_validation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="validation batches for patience 2"):
        fit(Net(), Blobs(), replace(CONFIG, patience=2), loss_of=loss_of, folder=tmp_path)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"epochs": 0}, "epochs >= 1"),
        ({"learning_rate": 0.0}, "learning_rate > 0"),
        ({"average": 1.0}, "average < 1"),
        ({"patience": 0}, "patience must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        FitConfig(**settings)  # type: ignore[arg-type]
