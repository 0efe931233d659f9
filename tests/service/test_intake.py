"""Intake: what is accepted is kept whole, what cannot be kept is refused, and nothing leaves the store."""

from __future__ import annotations

import io
import logging
import os
import subprocess
from pathlib import Path

import pytest
from pydicom.uid import ComprehensiveSRStorage
from sqlalchemy import func, select, text
from tests.dicom_files import AXIAL, CORONAL, SAGITTAL, STUDY, T1, mr_dataset, picture, save, write_study
from tests.service.conftest import Clock

from stenograde.pacs import audit_log
from stenograde.pacs import store as store_module
from stenograde.pacs.database import Database
from stenograde.pacs.intake import Accepted, Intake, Refusal, Refused
from stenograde.pacs.queue import Queue
from stenograde.pacs.settings import StudySettings
from stenograde.pacs.states import JobState
from stenograde.pacs.store import Store
from stenograde.pacs.tables import audit, instances, jobs
from stenograde.terms import Role


def mr(folder: Path, *, series: int = 1, number: int = 1, seed: int = 0, **attributes: object) -> bytes:
    """Bytes of an MR object."""
    dataset = mr_dataset(picture(seed=seed), series=series, number=number, **attributes)
    return save(dataset, folder / "object.dcm").read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def queue(database: Database, clock: Clock) -> Queue:
    return Queue(database, StudySettings(quiet_s=60, expected_series=2, expected_quiet_s=5), clock=clock)


@pytest.fixture
def intake(store: Store, queue: Queue) -> Intake:
    return Intake(store, queue, largest_bytes=1 << 20, most_instances=3)


def take(intake: Intake, data: bytes) -> Accepted | Refused:
    return intake.accept(data, via="dicom", sender="MR1")


def rows(queue: Queue) -> tuple[int, int, int]:
    """How many instances, jobs and lines of the audit log there are."""
    with queue.database.reading() as connection:
        counted = [
            connection.execute(select(func.count()).select_from(one)) for one in (instances, jobs, audit)
        ]
        first, second, third = (one.scalar_one() for one in counted)
    return first, second, third


def kept(store: Store) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file() and "database" not in path.parts)


def test_an_object_when_accepted_then_its_file_row_job_and_audit_line_are_there(
    intake: Intake, queue: Queue, store: Store, tmp_path: Path
) -> None:
    data = mr(tmp_path)
    got = intake.accept(io.BytesIO(data), via="dicom", sender="MR1")
    assert isinstance(got, Accepted)
    assert (got.study_uid, got.sop_uid, got.version, got.is_new) == (STUDY, f"{STUDY}.1.1", 1, True)
    (path,) = kept(store)
    assert path.read_bytes() == data
    (job,) = queue.listed()
    assert (job.state, job.version) == (JobState.RECEIVING, 1)
    assert [store.root / one for one in queue.files(job)] == [path]
    assert rows(queue) == (1, 1, 1)
    assert STUDY not in str(path)


def test_the_same_object_when_it_comes_again_then_it_is_accepted_and_nothing_changes(
    intake: Intake, queue: Queue, store: Store, clock: Clock, tmp_path: Path
) -> None:
    take(intake, mr(tmp_path))
    queue.complete(STUDY)
    before, files = rows(queue), kept(store)
    clock.go_on(5)
    again = take(intake, mr(tmp_path))
    assert isinstance(again, Accepted)
    assert (again.version, again.is_new) == (1, False)
    assert (rows(queue), kept(store)) == (before, files)
    assert [job.state for job in queue.listed()] == [JobState.READY]


def test_another_object_of_the_same_uid_when_it_comes_later_then_it_takes_the_place_in_a_new_version_only(
    intake: Intake, queue: Queue, store: Store, tmp_path: Path
) -> None:
    first = mr(tmp_path)
    take(intake, first)
    queue.complete(STUDY)
    other = mr(tmp_path, seed=1)
    got = take(intake, other)
    assert isinstance(got, Accepted)
    assert (got.version, got.is_new) == (2, True)
    second_job, first_job = queue.listed()
    assert [(store.root / one).read_bytes() for one in queue.files(first_job)] == [first]
    assert [(store.root / one).read_bytes() for one in queue.files(second_job)] == [other]
    back = take(intake, first)  # the sender's last word counts
    assert isinstance(back, Accepted)
    assert back.is_new
    assert [(store.root / one).read_bytes() for one in queue.files(second_job)] == [first]


def test_a_report_when_it_comes_back_to_us_then_it_is_kept_and_opens_no_version(
    intake: Intake, queue: Queue, tmp_path: Path
) -> None:
    take(intake, mr(tmp_path))
    queue.complete(STUDY)
    report = mr(tmp_path, series=9, SOPClassUID=ComprehensiveSRStorage, Modality="SR")
    got = take(intake, report)
    assert isinstance(got, Accepted)
    assert got.is_new
    assert [job.version for job in queue.listed()] == [1]
    assert len(queue.files(queue.listed()[0])) == 1


def test_a_study_when_its_sender_could_not_reach_us_then_it_is_quiet_only_from_then_on(
    intake: Intake, queue: Queue, clock: Clock, tmp_path: Path
) -> None:
    take(intake, mr(tmp_path))
    take(intake, mr(tmp_path, series=2))
    clock.go_on(5000)
    heard_since = clock()
    assert queue.complete_quiet(heard_since) == 0
    clock.go_on(59)
    assert queue.complete_quiet(heard_since) == 0
    clock.go_on(1)
    assert queue.complete_quiet(heard_since) == 1


def test_a_study_when_quiet_or_its_series_are_there_then_it_is_complete(
    intake: Intake, queue: Queue, clock: Clock, tmp_path: Path
) -> None:
    take(intake, mr(tmp_path))
    clock.go_on(59)
    assert queue.complete_quiet() == 0
    take(intake, mr(tmp_path, series=2))
    assert queue.complete_quiet() == 0
    clock.go_on(5)
    assert queue.complete_quiet() == 1
    take(intake, mr(tmp_path, series=2, number=2))
    clock.go_on(4)
    assert queue.complete_quiet() == 0


def test_a_study_when_a_series_for_each_expected_role_is_there_then_it_is_complete(
    store: Store, database: Database, clock: Clock, tmp_path: Path
) -> None:
    expected = StudySettings(quiet_s=60, expected_roles=tuple(Role), expected_quiet_s=5)
    queue = Queue(database, expected, clock=clock)
    intake = Intake(store, queue)
    for path in localizer(tmp_path):
        take(intake, path.read_bytes())
    folder = write_study(tmp_path / "study")
    series = [sorted((folder / name).rglob("*.dcm")) for name in ("t2", "ax", "t1")]
    late = series[2].pop()
    for path in (*series[0], *series[1], *series[2][:2]):
        take(intake, path.read_bytes())
    clock.go_on(30)
    assert queue.complete_quiet() == 0, "the sagittal T1 slice of the localizer is no series"
    for path in (*series[2][2:], late):
        take(intake, path.read_bytes())
    clock.go_on(4)
    assert queue.complete_quiet() == 0
    clock.go_on(1)
    assert queue.complete_quiet() == 1


def localizer(folder: Path) -> list[Path]:
    """Four gradient echo slices in three planes, of times that are those of T1."""
    planes = (SAGITTAL, SAGITTAL, CORONAL, AXIAL)
    return [
        save(
            mr_dataset(picture(), series=9, number=number, ImageOrientationPatient=list(plane), **T1),
            folder / f"localizer-{number}.dcm",
        )
        for number, plane in enumerate(planes)
    ]


@pytest.mark.parametrize(
    ("uid", "keyword"),
    [
        ("../../../etc/passwd", "StudyInstanceUID"),
        ("..", "nothing"),
        ("/etc/passwd", "SOPInstanceUID"),
        ("DOE^JOHN", "SOPInstanceUID"),
        ("1.2/../../3", "SeriesInstanceUID"),
        ("", "SOPInstanceUID"),
        ("1" * 65, "StudyInstanceUID"),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.filterwarnings("ignore:The value length")
def test_a_uid_when_it_tries_to_leave_the_store_then_nothing_leaves_it(
    intake: Intake, queue: Queue, store: Store, tmp_path: Path, uid: str, keyword: str
) -> None:
    attributes = dict.fromkeys(
        ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID") if keyword == "nothing" else (keyword,),
        uid,
    )
    folder = tmp_path / "made"
    data = save(mr_dataset(picture()), folder / "plain.dcm").read_bytes()
    made = mr_dataset(picture(), **attributes)
    made.file_meta = mr_meta(data)
    made.save_as(folder / "object.dcm", enforce_file_format=False)
    outside = sorted(path for path in tmp_path.rglob("*") if store.root not in path.parents)
    got = take(intake, (folder / "object.dcm").read_bytes())
    if keyword == "nothing":  # two points are a UID to us, and a name of a folder to nobody
        assert isinstance(got, Accepted)
        assert all(store.root.resolve() in path.resolve().parents for path in kept(store))
    else:
        assert isinstance(got, Refused)
        assert got.why is Refusal.NOT_UNDERSTOOD
        assert not uid or f"{keyword} must be a UID" in got.reason
        assert "DOE" not in got.reason
        assert (rows(queue), kept(store)) == ((0, 0, 0), [])
    after = sorted(path for path in tmp_path.rglob("*") if store.root not in path.parents)
    assert [one for one in after if "database" not in one.parts] == [
        one for one in outside if "database" not in one.parts
    ]


def mr_meta(data: bytes) -> object:
    from pydicom import dcmread

    meta = dcmread(io.BytesIO(data)).file_meta
    del meta.MediaStorageSOPInstanceUID
    return meta


@pytest.mark.parametrize("data", [b"", b"\0" * 200, b"\0" * 128 + b"DICM", b"PK\3\4" + b"x" * 500])
def test_bytes_when_no_object_then_they_are_refused_and_leave_nothing(
    intake: Intake, queue: Queue, store: Store, data: bytes
) -> None:
    got = take(intake, data)
    assert isinstance(got, Refused)
    assert got.why is Refusal.NOT_UNDERSTOOD
    assert (rows(queue), kept(store)) == ((0, 0, 0), [])


def test_bytes_when_refused_then_no_disk_is_waited_for(
    intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for junk in (b"", b"x" * 500, mr(tmp_path)[:-9]):
        assert isinstance(take(intake, junk), Refused)
    assert synced == []
    assert isinstance(take(intake, mr(tmp_path)), Accepted)
    assert synced


def test_an_object_when_half_then_it_is_refused(
    intake: Intake, queue: Queue, store: Store, tmp_path: Path
) -> None:
    data = mr(tmp_path)
    got = take(intake, data[:-100])
    assert isinstance(got, Refused)
    assert got.why is Refusal.NOT_UNDERSTOOD
    assert "truncated" in got.reason
    assert (rows(queue), kept(store)) == ((0, 0, 0), [])


def test_an_object_when_too_large_then_it_is_refused_whatever_its_source(
    store: Store, queue: Queue, tmp_path: Path
) -> None:
    data = mr(tmp_path)
    intake = Intake(store, queue, largest_bytes=len(data) - 1)
    for source in (data, io.BytesIO(data)):
        got = intake.accept(source, via="http", sender="x")
        assert isinstance(got, Refused)
        assert got.why is Refusal.TOO_LARGE
    assert (rows(queue), kept(store)) == ((0, 0, 0), [])


def test_a_study_when_it_has_no_end_then_the_rest_is_refused(
    intake: Intake, queue: Queue, store: Store, tmp_path: Path
) -> None:
    outcomes = [take(intake, mr(tmp_path, number=number)) for number in range(1, 5)]
    assert [type(one) for one in outcomes] == [Accepted, Accepted, Accepted, Refused]
    assert rows(queue) == (3, 1, 3)
    assert len(list((store.root / "images").rglob("*.dcm"))) == 3


def test_a_disk_when_below_its_margin_then_nothing_is_taken(
    queue: Queue, store: Store, tmp_path: Path
) -> None:
    data = mr(tmp_path)
    full = Store(store.root, free_bytes=1 << 62)
    got = Intake(full, queue).accept(data, via="dicom", sender="MR1")
    assert isinstance(got, Refused)
    assert got.why is Refusal.NO_ROOM
    assert "must keep 4.19e+06 TiB free" in got.reason
    assert (rows(queue), kept(store)) == ((0, 0, 0), [])


def test_a_disk_when_full_then_an_object_is_refused_and_taken_when_there_is_room_again(
    queue: Queue, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small tmpfs cannot be mounted here (needs root)")
    try:
        store = Store(disk / "store")
        intake = Intake(store, queue)
        data = mr(tmp_path)
        filler = disk / "filler"
        filler.write_bytes(b"x" * (124 << 10))
        got = intake.accept(io.BytesIO(data * 20), via="dicom", sender="MR1")
        assert isinstance(got, Refused)
        assert got.why is Refusal.NO_ROOM
        assert (rows(queue), kept(store)) == ((0, 0, 0), [])
        filler.unlink()
        assert isinstance(take(intake, data), Accepted)
        assert [path.read_bytes() for path in kept(store)] == [data]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_database_when_it_fails_then_the_object_is_refused_and_taken_when_sent_again(
    intake: Intake, queue: Queue, tmp_path: Path
) -> None:
    with queue.database.writing() as connection:
        connection.execute(text("ALTER TABLE audit RENAME TO away"))
    got = take(intake, mr(tmp_path))
    assert isinstance(got, Refused)
    assert got.why is Refusal.UNAVAILABLE
    assert "away" not in got.reason
    with queue.database.writing() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO audit"))
    assert rows(queue) == (0, 0, 0)
    assert isinstance(take(intake, mr(tmp_path)), Accepted)
    assert rows(queue) == (1, 1, 1)
    assert audit_log.verify(queue.database).broken is None


def test_a_file_that_cannot_be_placed_when_then_it_is_refused(
    intake: Intake, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_folder: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(store_module, "_sync", failing)
    got = take(intake, mr(tmp_path))
    assert isinstance(got, Refused)
    assert (got.why, rows(queue)) == (Refusal.UNAVAILABLE, (0, 0, 0))


def test_log_lines_when_written_then_they_hold_uids_and_nothing_of_the_patient(
    intake: Intake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from stenograde.pacs.logs import JsonLines

    with caplog.at_level(logging.INFO, logger="stenograde.pacs"):
        take(intake, mr(tmp_path, PatientName="DOE^JOHN", PatientID="SECRET", AccessionNumber="A77"))
        take(intake, b"DOE^JOHN SECRET A77")
    lines = [JsonLines().format(record) for record in caplog.records]
    assert len(lines) == 2
    assert f'"study_uid": "{STUDY}"' in lines[0]
    assert not any(word in line for line in lines for word in ("DOE", "SECRET", "A77"))
