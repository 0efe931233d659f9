"""A table of roles is joined on study and series; what contradicts itself or matches nothing is refused."""

from __future__ import annotations

import os

import pytest
from tests.dicom_files import EXPECTED_ROLES, STUDY, T1, T2, roles_of, write_series

from stenograde.dicom.read.given_roles import keys_of, read_roles, role_of, rows_of
from stenograde.dicom.read.studies import read_studies, read_study
from stenograde.errors import ConfigError
from stenograde.terms import Role

HEAD = "study_id,series_id,series_description\n"


def table(tmp_path, text: str):
    path = tmp_path / "roles.csv"
    path.write_text(text)
    return path


def test_roles_are_read_from_the_table_of_rsna_2024(tmp_path):
    roles = read_roles(table(tmp_path, f"{HEAD}1,22,Sagittal T2/STIR\n1,33,Axial T2\n2,22,Sagittal T1\n"))

    assert roles == {"1/22": Role.SAGITTAL_T2_STIR, "1/33": Role.AXIAL_T2, "2/22": Role.SAGITTAL_T1}
    assert role_of(roles, keys_of("9.1", "1.2.22")) is Role.SAGITTAL_T2_STIR
    assert role_of(roles, keys_of("9.2", "1.2.22")) is Role.SAGITTAL_T1
    assert role_of(roles, keys_of("1", "9.9", {"33"})) is Role.AXIAL_T2
    assert role_of(roles, keys_of("9.3", "1.2.22")) is None
    assert rows_of(roles, "2", ()) == {"22": Role.SAGITTAL_T1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "study_id,series\n1,2\n",
            "roles must have the columns series_id and series_description, got study_id, series",
        ),
        (
            "series_id,series_description\n1,Axial T9\n",
            "role must be one of Sagittal T1, .*, got 'Axial T9' in line 2",
        ),
        (
            f"{HEAD}1,22,Axial T2\n1,22,Sagittal T1\n",
            "a series must have one role, got Axial T2 and Sagittal T1 for series 22 in line 3",
        ),
    ],
)
def test_a_table_of_roles_that_is_none_is_refused(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_roles(table(tmp_path, text))
    with pytest.raises(ConfigError, match="roles must be a readable CSV file"):
        read_roles(tmp_path / "nowhere.csv")


def test_the_same_row_twice_is_one(tmp_path):
    assert read_roles(table(tmp_path, f"{HEAD}1,22,Axial T2\n1,22,Axial T2\n")) == {"1/22": Role.AXIAL_T2}


def test_a_row_of_another_study_does_not_reach_this_one(study_folder):
    roles = {f"{STUDY}/2": Role.SAGITTAL_T1, "9.9/3": Role.SAGITTAL_T1}

    study = read_study(study_folder, roles=roles)

    assert roles_of(study) == EXPECTED_ROLES | {"1": None, "2": Role.SAGITTAL_T1}


@pytest.mark.parametrize(
    "roles",
    [
        {"4": Role.AXIAL_T2},
        {"3": Role.AXIAL_T2, f"{STUDY}/4": Role.AXIAL_T2},
        {"3": Role.AXIAL_T2, f"{STUDY.rpartition('.')[2]}/4": Role.AXIAL_T2},
        {"9.9/3": Role.AXIAL_T2},
    ],
)
@pytest.mark.parametrize("read", [read_study, read_studies])
def test_a_row_that_matches_no_series_is_refused(study_folder, roles, read):
    with pytest.raises(ConfigError, match=r"must name a series of the study, got .*, which is none of it"):
        read(study_folder, roles=roles)


def test_two_names_of_one_series_must_not_contradict_each_other(study_folder):
    roles = {"3": Role.AXIAL_T2, f"{STUDY}.3": Role.SAGITTAL_T1}

    with pytest.raises(ConfigError, match="a series must have one role, got"):
        read_study(study_folder, roles=roles)


@pytest.mark.parametrize(("series", "role"), [("3", Role.SAGITTAL_T1), ("2", Role.AXIAL_T2)])
def test_a_role_of_another_plane_is_refused(study_folder, series, role):
    with pytest.raises(ConfigError, match=f"a role must fit the plane of its series, got {role.shown}"):
        read_study(study_folder, roles={series: role})


def test_a_folder_s_name_is_not_repeated(study_folder):
    with pytest.raises(ConfigError, match="got a name, which") as caught:
        read_study(study_folder, roles={"Doe_John": Role.AXIAL_T2})
    assert "Doe" not in str(caught.value)


def test_of_several_acquisitions_under_a_uid_the_one_that_fits_has_the_role(tmp_path):
    write_series(tmp_path / "a", series=1, SeriesInstanceUID="1.2.3", **T1)
    write_series(tmp_path / "b", series=2, SeriesInstanceUID="1.2.3", **T2)

    study = read_study(tmp_path, roles={"1.2.3": Role.SAGITTAL_T2_STIR})

    assert [series.role for series in study.series] == [Role.SAGITTAL_T1, Role.SAGITTAL_T2_STIR]
    assert "by override" in study.by_role(Role.SAGITTAL_T2_STIR).why


def test_a_table_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "roles.csv")
    for path, kind in (
        (tmp_path / "roles.csv", "a named pipe"),
        ("/dev/zero", "a device"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(ConfigError, match=f"roles must be a readable CSV file, got .*it is {kind}"):
            read_roles(path)
