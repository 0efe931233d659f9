"""Whatever happens to the bytes of a study, grading ends in words and never uses what cannot be read."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pydicom
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.small_phantoms import SMALL

from stenograde.cli import main
from stenograde.dicom.read.opening import find_files
from stenograde.phantom import FileOptions, write_cohort
from stenograde.phantom.files.dicom_files import Codec
from stenograde.report.as_json import schema


@dataclass(frozen=True)
class Damage:
    """A change to the bytes of one file; place and length are shares of the file's length."""

    file: int
    kind: str
    place: float
    length: int
    filling: bytes

    def apply(self, data: bytes) -> bytes:
        # half of all damage goes to the header, which is a small part of the file
        reach = len(data) if self.place >= 0.5 else min(len(data), 2500)
        start = int(self.place % 0.5 * 2 * reach)
        stop = start + self.length
        if self.kind == "truncate":
            return data[:start]
        if self.kind == "delete":
            return data[:start] + data[stop:]
        if self.kind == "insert":
            return data[:start] + self.filling + data[start:]
        if self.kind == "overwrite":
            return data[:start] + self.filling + data[start + len(self.filling) :]
        flipped = bytes(byte ^ 0xFF for byte in data[start:stop])
        return data[:start] + flipped + data[stop:]


damages = st.builds(
    Damage,
    file=st.integers(0, 1000),
    kind=st.sampled_from(["flip", "truncate", "delete", "insert", "overwrite"]),
    place=st.floats(0, 1, exclude_max=True),
    length=st.integers(1, 64),
    filling=st.binary(min_size=1, max_size=16),
)


@pytest.fixture(scope="module", params=[Codec.EXPLICIT, Codec.RLE], ids=str)
def small_study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    cohort = write_cohort(root, patients=1, seed=3, protocol=SMALL, options=FileOptions(codec=request.param))
    return cohort.studies[0].folder


USUAL = {"SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}
"""What any MR slice has; a file that lost one of these can still be read."""


def readable_instances(study: Path) -> set[str]:
    """SOPInstanceUIDs of the files whose identity and pixels an independent reader can read."""
    uids = set()
    for path in study.rglob("*.dcm"):
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path)
            for keyword, value in USUAL.items():
                if keyword not in ds:
                    setattr(ds, keyword, value)
            ds.PhotometricInterpretation = "MONOCHROME2"
            # pydicom's own decoder: others may end the whole process on damaged bytes
            ds.pixel_array_options(
                decoding_plugin="pydicom" if ds.file_meta.TransferSyntaxUID.is_encapsulated else ""
            )
            if ds.pixel_array.size:
                uids.add(str(ds.SOPInstanceUID))
    return uids


def grade(study: Path, out: Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        code = main(["grade", str(study), "--out", str(out)])
    return code, stdout.getvalue(), stderr.getvalue()


def test_small_study_when_undamaged_then_it_is_graded(small_study: Path, tmp_path: Path) -> None:
    """Otherwise the test below would pass by refusing everything."""
    code, _, stderr = grade(small_study, tmp_path)
    assert (code, stderr) == (0, "")
    grades = json.loads((tmp_path / "grades.json").read_text(encoding="utf-8"))
    assert "graded" in {cell["status"] for cell in grades["cells"]}
    assert grades["unused"] == []


def some_damages(max_examples: int) -> settings:
    """No shrinking: a hundred more gradings would take minutes before they say anything."""
    return settings(
        max_examples=max_examples,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=True,
    )


@some_damages(6)
@given(st.lists(damages, min_size=1, max_size=6))
def test_grade_when_bytes_are_damaged_then_it_ends_in_words_and_uses_only_what_can_be_read(
    small_study: Path, damage: list[Damage]
) -> None:
    check_damaged(small_study, damage)


@pytest.mark.slow
@some_damages(50)
@given(st.lists(damages, min_size=1, max_size=6))
def test_grade_when_bytes_are_damaged_in_many_ways_then_the_same_holds(
    small_study: Path, damage: list[Damage]
) -> None:
    check_damaged(small_study, damage)


def check_damaged(small_study: Path, damage: list[Damage]) -> None:
    """Damage a copy of a study and grade it."""
    with tempfile.TemporaryDirectory() as folder:
        study, out = Path(folder) / "study", Path(folder) / "out"
        shutil.copytree(small_study, study)
        files = sorted(study.rglob("*.dcm"))
        for one in damage:
            path = files[one.file % len(files)]
            path.write_bytes(one.apply(path.read_bytes()))
        code, _, stderr = grade(study, out)
        assert code in (0, 2), stderr
        assert "Traceback" not in stderr
        if code == 2:
            assert stderr.startswith("stenograde: ")
            assert stderr.count("\n") == 1
            assert not (out / "grades.json").exists()
            return
        assert stderr == ""
        grades = json.loads((out / "grades.json").read_text(encoding="utf-8"))
        jsonschema.validate(grades, schema())
        rested_on = {item["sop_instance_uid"] for cell in grades["cells"] for item in cell["evidence"]}
        assert rested_on <= readable_instances(study)
        left_out = {item["what"] for item in grades["unused"]}
        for file in find_files(study):
            if is_no_dicom(study / file.relative):
                assert file.name in left_out


def is_no_dicom(path: Path) -> bool:
    """Whether not even an independent reader's tolerant parser finds an instance."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "SOPInstanceUID" not in pydicom.dcmread(path)
        except Exception:  # noqa: BLE001  broken bytes raise anything in a foreign parser
            return True
