"""The front door: what it offers is what we say, and opening it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stenograde

HEAVY = ("torch", "pydicom", "numpy", "scipy", "skimage", "onnxruntime", "rich", "PIL", "nibabel", "typer")


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running some code."""
    script = (
        "import sys\n"
        f"{code}\n"
        "print('\\n' + ' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_demo_when_run_then_it_shows_the_drafts_of_its_simulated_patient() -> None:
    recipe = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8").partition("\ndemo:")[2]
    assert "--drafts" in recipe.partition("\n\n")[0]


def test_front_door_when_listed_then_it_offers_eleven_names() -> None:
    assert stenograde.__all__ == [
        "Bundle",
        "Study",
        "StudyGrades",
        "as_html",
        "as_json",
        "default_bundle",
        "grade_located",
        "grade_study",
        "load_bundle",
        "locate_study",
        "read_study",
    ]
    assert {*stenograde.__all__, "__version__"} == set(dir(stenograde))


@pytest.mark.parametrize("name", stenograde.__all__)
def test_front_door_when_a_name_is_asked_for_then_it_is_there(name: str) -> None:
    assert getattr(stenograde, name).__name__ == name


def test_front_door_when_an_unknown_name_is_asked_for_then_it_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'stenograde' has no attribute 'grade_everything'$"):
        _ = stenograde.grade_everything


def test_import_when_the_package_is_opened_then_nothing_heavy_is_loaded() -> None:
    assert loaded_after("import stenograde") & set(HEAVY) == set()


def test_import_when_help_is_asked_for_then_only_the_parser_is_loaded() -> None:
    code = "from stenograde.cli import main\nassert main(['--help']) == 0"
    assert loaded_after(code) & set(HEAVY) == {"typer"}


def test_import_when_one_command_is_asked_for_then_no_other_is_loaded() -> None:
    code = (
        "import sys\n"
        "from stenograde.cli import main\n"
        "assert main(['inspect', '--help']) == 0\n"
        "others = {'grade', 'train', 'phantom', 'serve'} & {name.rpartition('.')[2] for name in sys.modules}\n"
        "assert not others, others"
    )
    assert "typer" in loaded_after(code)


def test_import_when_everything_at_the_front_door_is_loaded_then_torch_is_not() -> None:
    code = "import stenograde\nfor name in stenograde.__all__: getattr(stenograde, name)"
    assert "torch" not in loaded_after(code)


def test_grade_when_it_runs_then_torch_is_never_loaded(phantom_study: Path, tmp_path: Path) -> None:
    code = (
        "from stenograde.cli import main\n"
        f"assert main(['grade', {str(phantom_study)!r}, '--out', {str(tmp_path / 'out')!r}]) == 0"
    )
    assert "torch" not in loaded_after(code)
    assert (tmp_path / "out" / "report.html").is_file()
