"""The soak of benchmarks/soak.py in short, and that what it looks for would be found."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest
from pydicom.dataset import FileMetaDataset
from rich.console import Console
from tests.dicom_files import mr_dataset, picture
from tests.result_files import FILES, uid_of
from tests.service.outboxes import STUDY, grade

from stenograde.pacs.send import Outbox
from stenograde.pacs.settings import GradingSettings, ServeSettings

_SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak", _SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = script  # (dataclasses look there)
    spec.loader.exec_module(script)
    return script


# (pynetdicom leaves the sockets of connections that were refused to the garbage collector)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("sockets_collected")
@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_studies_sent_while_the_service_is_killed_are_graded_and_delivered_once(
    soak: ModuleType, database: str, request: pytest.FixtureRequest
) -> None:
    if database == "postgresql":
        request.getfixturevalue("server")  # (skips where there is none)
    # (PostgreSQL runs as another user, whom pytest's folder keeps out)
    work = Path(tempfile.mkdtemp(prefix="soak-"))
    work.chmod(0o755)
    plan = soak.Plan(work, studies=12, database=database, every_s=6, quiet_s=15, longest_s=20, ahead=12)
    try:
        report = soak.soak(plan, Console(quiet=True))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    found = report["found"]
    assert found["faults"] == {}
    assert (found["graded_once"], found["delivered_once"]) == (12, 12)
    assert sum(report["faults_done"].values()) >= 3


def test_the_check_of_the_soak_finds_what_is_lost_and_what_is_there_twice(
    soak: ModuleType, outbox: Outbox, tmp_path: Path
) -> None:
    url = outbox.database.engine.url.render_as_string()
    settings = ServeSettings(
        store=outbox.store.root, database=url, free_mb=0, grading=GradingSettings(results=("sr", "seg"))
    )
    received = tmp_path / "received.txt"
    received.write_text("")
    ledger = soak.Ledger(acknowledged={f"{STUDY}.1.1": STUDY}, studies={STUDY})

    def kinds() -> set[str]:
        return set(soak.check(settings, ledger, received, {STUDY: 0}, 1).faults)

    assert kinds() == {"acknowledged, and no row", "lost: not graded"}
    grade(outbox)
    (outbox.store.results(STUDY, 1) / "grades.json").write_text(f'{{"study_uid": "{STUDY}"}}')
    assert kinds() == {"acknowledged, and no row", "lost: graded"}
    delivery = outbox.deliveries.claim("sender", ["archive"])
    assert delivery is not None
    outbox.deliveries.delivered(delivery)
    ledger.acknowledged.clear()
    assert kinds() == {"lost: not at the archive"}
    uids = [uid_of(STUDY, name) for name, (_, modality) in FILES.items() if modality in {"SR", "SEG"}]
    lines = [f"{STUDY} {uid} content answered \n" for uid in uids]
    received.write_text("".join([*lines, lines[0]]))
    found = soak.check(settings, ledger, received, {STUDY: 0}, 1)
    assert (dict(found.faults), found.delivered_once, found.received_again) == ({}, 1, 1)
    received.write_text("".join([*lines, f"{STUDY} {uids[0]} other answered \n"]))
    assert kinds() == {"twice: the same object with another content"}
    received.write_text("".join([*lines, f"{STUDY} 1.2.3 content answered \n"]))
    assert kinds() == {"twice: other results at the archive"}
    received.write_text("".join([*lines, "1.2.4 1.2.4.1 content answered \n"]))
    assert kinds() == {"at the archive, though of no study"}
    grade(outbox)
    assert "twice: more than one version" in kinds()


def test_studies_of_one_template_share_nothing(soak: ModuleType) -> None:
    del soak  # (it makes its modules known)
    from benchmarks.soaking.modality import study

    template = [mr_dataset(picture())]
    template[0].file_meta = FileMetaDataset()
    first, second = study(template, "1.2.1"), study(template, "1.2.2")
    assert [one.StudyInstanceUID for one in (*first, *second)] == ["1.2.1", "1.2.2"]
    assert (
        first[0].file_meta.MediaStorageSOPInstanceUID == first[0].SOPInstanceUID != second[0].SOPInstanceUID
    )
