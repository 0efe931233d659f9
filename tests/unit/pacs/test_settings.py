"""Settings of the service: safe by default, and refused where they would not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from stenograde.errors import ConfigError
from stenograde.pacs.settings import Destination, ServeSettings, is_loopback, read_settings
from stenograde.terms import Role


def read(folder: Path, text: str) -> ServeSettings:
    path = folder / "serve.toml"
    path.write_text(text, encoding="utf-8")
    return read_settings(path)


def test_settings_when_none_are_given_then_only_this_machine_can_connect() -> None:
    settings = read_settings(None)
    assert settings.dicom is not None
    assert settings.http is not None
    assert is_loopback(settings.dicom.host)
    assert is_loopback(settings.http.host)
    assert settings.database_url == f"sqlite:///{Path.cwd()}/stenograde-store/stenograde.sqlite"
    assert settings.destinations == {}


def test_settings_when_of_a_whole_site_then_every_table_is_read(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
        store = "/srv/stenograde"
        database = "postgresql://stenograde@/stenograde"
        [dicom]
        ae_title = "GRADER"
        host = "0.0.0.0"
        port = 104
        callers = ["MR1", "PACS@10.0.0.7"]
        tls = {certificate = "cert.pem", key = "key.pem", authorities = "ca.pem"}
        [http]
        host = "0.0.0.0"
        tokens_file = "tokens"
        [watch]
        folder = "/srv/in"
        [study]
        quiet_s = 30
        expected_series = 3
        expected_roles = ["sagittal_t2_stir", "axial_t2"]
        [grading]
        workers = 2
        results = ["sr", "pdf"]
        [destinations.archive]
        kind = "dicom"
        ae_title = "PACS"
        host = "10.0.0.7"
        commitment = true
        [destinations.viewer]
        kind = "stow"
        url = "https://orthanc.example/dicom-web"
        results = ["sc"]
        [retention]
        days = 7
        """,
    )
    assert settings.dicom is not None
    assert settings.dicom.callers == ("MR1", "PACS@10.0.0.7")
    assert settings.dicom.tls is not None
    assert settings.dicom.tls.authorities == Path("ca.pem")
    assert settings.database_url == "postgresql://stenograde@/stenograde"
    assert settings.destinations == {
        "archive": Destination("dicom", "PACS", "10.0.0.7", commitment=True),
        "viewer": Destination("stow", url="https://orthanc.example/dicom-web", results=("sc",)),
    }
    assert settings.grading.results == ("sr", "pdf")
    assert settings.study.expected_roles == (Role.SAGITTAL_T2_STIR, Role.AXIAL_T2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[dicom]\nhost = "0.0.0.0"', "dicom: callers must name who may send"),
        ('[http]\nhost = "10.0.0.1"', "http: tokens_file must be set"),
        ('[dicom]\nae_title = "MUCH TOO LONG A TITLE"', "ae_title must be an AE title of 1 to 16"),
        ('[dicom]\nae_title = "A\\\\B"', "ae_title must be an AE title of 1 to 16"),
        ('[dicom]\ncallers = [" MR1"]', "callers must be an AE title of 1 to 16"),
        ("[dicom]\nport = 70000", "port must be 0 to 65535, got 70000"),
        ("[grading]\nworkers = 0", "workers must be at least 1, got 0"),
        ('[study]\nexpected_roles = ["sag"]', "expected_roles"),
        ("[study]\nquiet_s = nan", "quiet_s must be at least 0, got nan"),
        ('[grading]\nresults = ["csv"]', "grading.results\\[0\\] must be one of 'sr', 'pdf', 'sc', 'seg'"),
        ('[destinations.a]\nkind = "dicom"\nae_title = "PACS"', "host must be set"),
        ('[destinations.a]\nkind = "stow"\nurl = "file:///etc"', "url must begin with https://"),
        (
            '[destinations."A B"]\nkind = "stow"\nurl = "https://a"',
            "name of a destination must be small letters",
        ),
        ("retain = 3", "has no setting 'retain'"),
    ],
)
def test_settings_when_wrong_or_unsafe_then_they_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, text)
