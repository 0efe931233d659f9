"""A cohort from folders, zips, object storage and a DICOMweb server: the same study, the same cells."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

import httpx
import pyarrow.parquet as pq
import pytest
from tests.orthancs import free_port, orthanc

from stenograde import read_study
from stenograde.cli import main


@pytest.fixture
def web(phantom_study: Path) -> Iterator[str]:
    """URL of the phantom's study on an Orthanc."""
    with orthanc(report_port=free_port()) as server, httpx.Client(trust_env=False) as client:
        for file in sorted(phantom_study.rglob("*.dcm")):
            client.post(
                f"http://127.0.0.1:{server.http_port}/instances", content=file.read_bytes()
            ).raise_for_status()
        yield f"dicomweb+{server.web}/studies/{read_study(phantom_study).uid}"


@pytest.fixture
def bucket(phantom_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of the phantom's study in an S3-compatible storage on this machine."""
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        client = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="studies")
        for file in sorted(phantom_study.rglob("*.dcm")):
            client.upload_file(str(file), "studies", f"one/{file.relative_to(phantom_study)}")
        packed = shutil.make_archive(str(tmp_path / "packed"), "zip", phantom_study)
        client.upload_file(packed, "studies", "packed.zip")
        yield "s3://studies/one"
    finally:
        server.stop()


@pytest.mark.filterwarnings("default")  # boto3 and moto warn of each other's ages
def test_a_study_has_the_same_cells_wherever_it_is_read_from(
    phantom_study: Path, web: str, bucket: str, tmp_path: Path
) -> None:
    sources = [str(phantom_study), "packed.zip", web, bucket, "s3://studies/packed.zip"]
    sources += ["s3://studies/none", web[:-1] + "99"]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("source\n" + "".join(f"{one}\n" for one in sources))
    out = tmp_path / "out"

    code = main(["grade", "--cohort", str(manifest), "--out", str(out), "--workers", "2", "--reports"])

    assert code == 2
    studies = pq.read_table(out / "studies").to_pylist()
    assert [study["outcome"] for study in studies] == ["graded"] * 5 + ["not fetched"] * 2
    assert all("a source must be there and open to us" in study["reason"] for study in studies[5:])
    cells = pq.read_table(out / "cells").drop(["row"]).to_pylist()
    assert len(cells) == 5 * 25
    assert all(cells[25 * k : 25 * k + 25] == cells[:25] for k in range(5))
    assert {path.name for path in (out / "reports").iterdir()} == {f"{row:09d}" for row in range(5)}
    assert not list(Path(gettempdir()).glob(f"stenograde-{socket.gethostname()}-*")), (
        "what was fetched is deleted"
    )


def test_a_server_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"source,name\ndicomweb+http://127.0.0.1:{port}/dicom-web/studies/1.2.3,away\n")

    assert main(["grade", "--cohort", str(manifest), "--out", str(tmp_path / "out")]) == 2

    (study,) = pq.read_table(tmp_path / "out" / "studies").to_pylist()
    assert study["outcome"] == "not fetched"
    assert "a source must be there and open to us, got ConnectionError" in study["reason"]
    assert str(port) not in study["reason"]
