"""An example or two for every command, which end its help."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "stenograde phantom --patients 1 --out cohort",
        "stenograde grade cohort/train_images/* --out report --drafts",
        "stenograde --install-completion",
    ),
    "grade": (
        "stenograde grade study.zip --out report",
        "stenograde grade patients/* --out reports",
        "stenograde grade archive --all --out reports --no-demographics",
        "stenograde grade study.zip --dicom sr --fhir --out report",
    ),
    "sign": ("stenograde sign report --reader 'Family^Given' --organization 'Our hospital' --out report",),
    "locate": (
        "stenograde locate study --out located",
        "stenograde locate volume.nii.gz --out located",
        "stenograde locate slice.png --spacing-mm 0.6 0.6 --out located",
    ),
    "explain": (
        "stenograde explain study --bundle bundle --out explained",
        "stenograde explain study --cell spinal_canal_stenosis_l4_l5 --out explained",
    ),
    "score": (
        "stenograde score cohort",
        "stenograde score cohort --shares train.csv --json",
        "stenograde score further-spider-patients",
        "stenograde score --labels train.csv --predictions submission.csv",
        "stenograde score --labels train.csv --baselines",
    ),
    "evaluate": (
        "stenograde evaluate bundle --data cohort --out evaluation",
        "stenograde evaluate lumbar-mri-25 --data cohort --labels labels.csv --shares train.csv --out evaluation",
    ),
    "submit": (
        "stenograde submit rsna-2024 --shares train.csv --weighted --out submission.csv",
        "stenograde submit studies --bundle bundle --out submission.csv",
    ),
    "audit": (
        "stenograde audit oof_predictions.csv --labels train.csv --out audit.csv",
        "stenograde audit verify --config serve.toml",
    ),
    "audit labels": ("stenograde audit oof_predictions.csv --labels train.csv --out audit.csv",),
    "audit verify": ("stenograde audit verify --config serve.toml",),
    "serve": ("stenograde serve", "stenograde serve --config serve.toml", "stenograde serve --dry-run"),
    "jobs": ("stenograde jobs list --state failed", "stenograde jobs retry 7"),
    "jobs list": ("stenograde jobs list --config serve.toml", "stenograde jobs list --state failed"),
    "jobs retry": ("stenograde jobs retry 7",),
    "jobs cancel": ("stenograde jobs cancel 7 --reason 'wrong patient'",),
    "jobs complete": ("stenograde jobs complete 1.2.826.0.1.3680043.8.498.1",),
    "inspect": ("stenograde inspect study.zip",),
    "phantom": (
        "stenograde phantom --patients 20 --seed 1 --out cohort",
        "stenograde phantom --patients 1 --cell spinal_canal_stenosis_l4_l5=severe --out one",
        "stenograde phantom --region cervical --films obliques --patients 50 --out necks",
    ),
    "classify": ("stenograde classify pictures --bundle axial-canal-t1 --out table.csv",),
    "compare": (
        "stenograde compare results/s1 results/s2",
        "stenograde compare a.csv b.csv --labels train.csv",
    ),
    "ensemble": ("stenograde ensemble a.csv b.csv --weight 2 --weight 1 --out both.csv",),
    "deidentify": (
        "stenograde deidentify study shared",
        "stenograde deidentify archive.zip shared --key site.key --modified-dates --retain-patient-characteristics",
    ),
    "env": ("stenograde env",),
    "prepare": ("stenograde prepare rsna2024 --data cohort --out prepared",),
    "prepare rsna2024": ("stenograde prepare rsna2024 --data cohort --out prepared --per-level 3",),
    "pretrain": ("stenograde pretrain --data slices --out encoder.safetensors",),
    "train": ("stenograde train grader --patients 800 --seed 1 --out bundle",),
    "train rsna2024": (
        "stenograde train rsna2024 --data rsna-2024-lumbar-spine-degenerative-classification --out bundle",
        "stenograde train rsna2024 --data cohort --labels labels.csv --licence 'our own' --out bundle",
        "torchrun --nproc-per-node 4 -m stenograde train rsna2024 --data rsna --size published --out bundle",
    ),
    "ingest": ("stenograde ingest --data cohort --out steps",),
    "crops": ("stenograde crops --data cohort --out steps --set crops.size_px=96 --set net.size_px=96",),
    "train locator": ("stenograde train locator --data spider --out bundle",),
    "train quantize": ("stenograde train quantize --data spider --base trained --out bundle",),
    "train discs": (
        "stenograde train discs --data spider --out bundle",
        "stenograde train discs --data spider --base mine --out mine-with-discs",
    ),
    "train grader": (
        "stenograde train grader --patients 800 --seed 1 --out bundle",
        "stenograde score cohort --bundle bundle --json > scores.json",
        "stenograde train grader --patients 800 --seed 1 --out bundle --tested scores.json",
    ),
    "train foramina": (
        "stenograde train foramina --patients 300 --seed 1 --out bundle",
        "stenograde train foramina --patients 300 --seed 1 --base mine --out mine-with-foramina",
    ),
    "train recesses": (
        "stenograde train recesses --patients 600 --seed 1 --base mine --out mine-with-recesses",
    ),
    "train heads": ("stenograde train heads --patients 400 --seed 1 --out bundle",),
    "experiment": ("stenograde experiment s1 --data cohort --protocol patient --out results/s1",),
    "experiment list": ("stenograde experiment list",),
    "experiment run": (
        "stenograde experiment s1 --data cohort --protocol patient --out results/s1",
        "stenograde experiment s1 --data cohort --protocol published --size published --out results/s1-as-published",
        "stenograde experiment s1 --data cohort --protocol patient --set fit.epochs=2 --device cpu --out results/short",
    ),
    "experiment held-out": ("stenograde experiment held-out results/s3-spider --data spider-new",),
    "experiment table": ("stenograde experiment table results/s1 results/s2 results/s4",),
    "experiment ship": (
        "stenograde experiment ship axial-canal --data pictures --result results/axial-canal --name mine --out bundle",
    ),
}
"""By the words that name a command after ``stenograde``."""


def epilog(name: str) -> str:
    """Return the examples of a command as the end of its help, in lines that are not joined."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in EXAMPLES[name])))
