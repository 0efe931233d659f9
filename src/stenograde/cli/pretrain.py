"""``stenograde pretrain``: fit an encoder on slices without labels; needs the extra ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stenograde.cli.settings import (
    DeviceOption,
    Log,
    PrecisionOption,
    Settings,
    SettingsFile,
    SizeName,
    changes_asked,
    read_settings,
    say_changed,
)
from stenograde.errors import ConfigError

RecipeName = Annotated[
    str | None,
    typer.Option("--recipe", help="Recipe to take encoder, picture size and input from, for its --weights."),
]
LeftOut = Annotated[
    str | None,
    typer.Option(
        "--leave-out", help="Regular expression of paths to leave out, such as those of test patients."
    ),
]


def pretrain(
    data: Annotated[
        list[Path],
        typer.Option("--data", help="Folder of pictures or DICOM files; may be given more than once."),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="File of weights to write (.safetensors), with a report beside it.")
    ],
    config: SettingsFile = None,
    recipe: RecipeName = None,
    size: Annotated[SizeName, typer.Option("--size", help="Size of the recipe.")] = SizeName.QUICK,
    leave_out: LeftOut = None,
    settings: Settings = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    log: Log = None,
) -> None:
    """Pre-train the small encoder on slices without labels (VICReg), for 'experiment --weights' to start from.

    Leave out what will be tested on later. Checkpoint and logs lie in a folder beside the weights; a training that
    was cut short resumes from it.
    """
    from stenograde.cli.output import needs_extra, out_folder
    from stenograde.cli.progress import progress_on_stderr
    from stenograde.config import as_plain
    from stenograde.datasets.cache import cached_pictures
    from stenograde.datasets.unlabelled import read_unlabelled

    with needs_extra("pre-training needs"):
        from stenograde.experiments.pictures.recipe import read_recipe
        from stenograde.experiments.pictures.training import as_recipe
        from stenograde.train.loop.tracking import tracked
        from stenograde.train.pictures.pretrain import PretrainConfig, write_pretrained
        from stenograde.train.pictures.pretrain import pretrain as fit_encoder
    if out.suffix != ".safetensors":
        msg = f"--out must be a file that ends in .safetensors, got {out}"
        raise ConfigError(msg)
    chosen, changed = read_settings(PretrainConfig, config, changes_asked(settings, device, precision))
    if recipe is not None:
        chosen = as_recipe(chosen, read_recipe(recipe, size.value))
    samples = read_unlabelled(data, leave_out=leave_out)
    work = out_folder(out.with_suffix(".training"))
    with progress_on_stderr(lines=False) as progress:
        pictures = cached_pictures(samples, chosen.picture, work, progress=progress)
    with progress_on_stderr() as shown, tracked(shown, log, as_plain(chosen), work) as progress:
        made = fit_encoder(pictures, chosen, folder=work / "fit", progress=progress)
    facts = {
        "folders": [folder.name for folder in data],
        "left_out": leave_out,
        "changed": changed,
        "notes": samples.notes,
    }
    told = write_pretrained(made, out, facts)
    say_changed(changed)
    rank = made.report["features_effective_rank"]
    print(f"weights: {out} ({len(samples)} pictures, features of effective rank {rank})")
    print(f"report: {told}")
