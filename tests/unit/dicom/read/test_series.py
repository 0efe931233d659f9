"""Header facts to plane and weighting: times first, then the picture, then the description; overrides win."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.dicom_files import AXIAL, CORONAL, SAGITTAL, T1, T2, write_series

from stenograde.dicom.read.frames import Contrast
from stenograde.dicom.read.looking import look_at_axial
from stenograde.dicom.read.series import (
    NotUsed,
    SeriesFacts,
    Verdict,
    classify,
    contradiction,
    described_plane,
    described_weighting,
    needs_picture,
)
from stenograde.dicom.read.studies import read_study
from stenograde.images.contrast import FluidSignal, fluid_by_reference, fluid_signal
from stenograde.study import Volume
from stenograde.terms import Plane, Role, Weighting

SAGITTAL_FACTS = SeriesFacts("1.2.3", ((-1.0, 0.0, 0.0),), (15,))


def facts(**changes: object) -> SeriesFacts:
    """Facts of a sagittal series; what tells its contrast goes there."""
    contrast = {key: changes.pop(key) for key in tuple(changes) if key in Contrast.__dataclass_fields__}
    return replace(SAGITTAL_FACTS, contrast=Contrast(**contrast), **changes)


@pytest.mark.parametrize(
    ("echo", "repetition", "more", "weighting", "why"),
    [
        (11, 600, {}, Weighting.T1, "T1: TE 11 ms, TR 600 ms"),
        (14, 743, {}, Weighting.T1, "T1: TE 14 ms"),
        (100, 3500, {}, Weighting.T2, "T2: TE 100 ms, TR 3500 ms"),
        (124, 1000, {}, Weighting.T2, "T2: TE 124 ms"),
        (30, 3000, {}, Weighting.PD, "PD: TE 30 ms"),
        (45, 4000, {"inversion_time_ms": 160.0}, Weighting.STIR, "STIR: TI 160 ms"),
        (
            80,
            4000,
            {"inversion_time_ms": 220.0, "sequence": ("SE", "IR")},
            Weighting.STIR,
            "STIR: TI 220 ms",
        ),
        (10, 2000, {"inversion_time_ms": 860.0, "sequence": ("IR",)}, Weighting.T1, "T1: TI 860 ms"),
        (
            100,
            3500,
            {"inversion_time_ms": 160.0, "sequence": ("SE",)},
            Weighting.T2,
            "T2: TE 100 ms",
        ),
    ],
)
def test_times_decide_the_weighting(echo, repetition, more, weighting, why):
    verdict = classify(facts(echo_time_ms=float(echo), repetition_time_ms=float(repetition), **more))

    assert isinstance(verdict, Verdict)
    assert verdict.weighting is weighting
    assert why in verdict.why


def test_times_win_over_the_description_and_the_doubt_is_said():
    misnamed = facts(echo_time_ms=100.0, repetition_time_ms=3500.0, description="t1_tse_sag")
    verdict = classify(misnamed)

    assert isinstance(verdict, Verdict)
    assert verdict.weighting is Weighting.T2
    assert contradiction(misnamed, verdict) == "the description names T1, but it is taken as T2"


@pytest.mark.parametrize(
    ("p_bright", "description", "weighting", "why"),
    [
        (0.97, "", Weighting.T2, "fluid is bright by the picture (P 0.97); the header tells no times"),
        (0.02, "", Weighting.T1, "fluid is dark by the picture (P 0.98)"),
        (0.97, "T1", Weighting.T2, "fluid is bright"),
        (0.97, "STIR sag", Weighting.STIR, "fluid is bright"),
        (0.6, "T1", Weighting.T1, "by its description alone, header and picture being undecided"),
        (0.6, "", None, "neither header, picture nor description tells the weighting"),
    ],
)
def test_without_times_the_picture_decides_and_the_description_breaks_the_tie(
    p_bright, description, weighting, why
):
    silent = facts(description=description)
    assert needs_picture(silent)

    verdict = classify(replace(silent, fluid=FluidSignal(p_bright)))

    assert isinstance(verdict, Verdict)
    assert verdict.weighting is weighting
    assert why in verdict.why


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"normals": ((1.0, 0, 0), (0, 1.0, 0)), "n_slices": (3, 3)},
            "localizer: slices up to 90 degrees apart",
        ),
        ({"b_value": 500.0}, "diffusion or echo planar"),
        ({"sequence": ("EP",)}, "diffusion or echo planar"),
        (
            {
                "sequence": ("GR",),
                "echo_time_ms": 20.0,
                "repetition_time_ms": 600.0,
                "flip_angle_deg": 30.0,
            },
            "gradient echo",
        ),
        (
            {"sequence": ("GR",), "echo_time_ms": 4.0, "repetition_time_ms": 300.0, "flip_angle_deg": 70.0},
            "gradient echo",
        ),
    ],
)
def test_what_is_no_graded_series_is_not_used(changes, why):
    verdict = classify(facts(**changes))

    assert isinstance(verdict, NotUsed)
    assert verdict.why.startswith(why)
    assert not needs_picture(facts(**changes))


@pytest.mark.parametrize(
    ("normals", "n_slices", "plane"),
    [
        (((-1.0, 0, 0),), (15,), Plane.SAGITTAL),
        (((0, 0.3, 0.954), (0, -0.64, 0.768)), (9, 9), Plane.AXIAL),
        (((0, 0.0, 1.0), (0, -0.8, 0.6)), (20, 5), Plane.AXIAL),
        (((0, 1.0, 0),), (9,), Plane.CORONAL),
    ],
)
def test_geometry_decides_the_plane(normals, n_slices, plane):
    verdict = classify(facts(normals=normals, n_slices=n_slices))

    assert isinstance(verdict, Verdict)
    assert verdict.plane is plane


@pytest.mark.parametrize(
    ("description", "weighting"),
    [
        ("t1_tse_sag_384", Weighting.T1),
        ("SAG T2 TSE", Weighting.T2),
        ("T2_space_sag_c4", Weighting.T2),
        ("t2_tirm_sag", Weighting.STIR),
        ("SAG STIR", Weighting.STIR),
        ("PD sag", Weighting.PD),
        ("Survey", None),
        ("T10-T12", None),
        ("T1 and T2", None),
        ("", None),
    ],
)
def test_descriptions_name_weightings(description, weighting):
    assert described_weighting(description) is weighting


def roles_of(study) -> dict[str, Role | None]:
    return {series.uid.rpartition(".")[2]: series.role for series in study.series}


def why_of(study, number: int) -> str:
    return next(series.why for series in study.series if series.uid.endswith(f".{number}"))


def test_the_wider_of_two_candidates_is_chosen(tmp_path):
    write_series(tmp_path / "a", series=1, n=4, **T2)
    write_series(tmp_path / "b", series=2, n=9, **T2)

    study = read_study(tmp_path)

    assert roles_of(study) == {"1": None, "2": Role.SAGITTAL_T2_STIR}
    assert "best of 2: it covers 36 mm, against 16 mm" in why_of(study, 2)
    assert "it covers 36 mm, against 16 mm" in why_of(study, 1)


def test_of_equally_wide_candidates_the_finer_is_chosen(tmp_path):
    write_series(tmp_path / "a", series=1, n=5, **T2)
    write_series(tmp_path / "b", series=2, n=5, shape=(25, 20), PixelSpacing=[0.4, 0.4], **T2)

    study = read_study(tmp_path)

    assert roles_of(study) == {"1": None, "2": Role.SAGITTAL_T2_STIR}
    assert "its voxels are 0.64 mm³, against 1.50 mm³" in why_of(study, 2)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ({"InversionTime": 160, "ScanningSequence": ["SE", "IR"]}, "it is T2, not STIR"),
        ({"ContrastBolusAgent": "given"}, "it is without contrast agent"),
        ({"BodyPartExamined": "CSPINE"}, "it is of the lumbar region"),
    ],
)
def test_kind_comes_before_coverage(tmp_path, second, why):
    write_series(tmp_path / "a", series=1, n=5, **T2)
    write_series(tmp_path / "b", series=2, n=9, **{**T2, **second})

    study = read_study(tmp_path)

    assert roles_of(study) == {"1": Role.SAGITTAL_T2_STIR, "2": None}
    assert why in why_of(study, 2)


def test_a_second_axial_series_that_covers_more_is_used_beside_the_first(tmp_path):
    def below(ds, index):
        ds.ImagePositionPatient = [0, 0, 4.0 * index - 100]

    write_series(tmp_path / "a", series=1, n=9, orientation=AXIAL, **T2)
    write_series(tmp_path / "b", series=2, n=8, orientation=AXIAL, edit=below, **T2)
    write_series(tmp_path / "c", series=3, n=7, orientation=AXIAL, **T2)

    study = read_study(tmp_path)

    assert roles_of(study) == {"1": Role.AXIAL_T2, "2": Role.AXIAL_T2, "3": None}
    assert study.by_role(Role.AXIAL_T2) is study.series[0]
    assert study.series[0].uid.endswith(".1")
    assert "covers 32 mm beside series" in why_of(study, 2)


@pytest.mark.parametrize(
    ("orientation", "times", "why"),
    [
        (CORONAL, T2, "not used: coronal T2 has no role"),
        (AXIAL, T1, "not used: axial T1 has no role"),
        (SAGITTAL, {"EchoTime": 30, "RepetitionTime": 3000}, "not used: sagittal PD has no role"),
    ],
)
def test_series_without_a_role_are_kept_with_the_reason(tmp_path, orientation, times, why):
    write_series(tmp_path, orientation=orientation, **times)

    (series,) = read_study(tmp_path).series

    assert series.role is None
    assert why in series.why


def test_the_network_for_fluid_gives_what_torch_gives():
    torch = pytest.importorskip("torch")
    from stenograde.images import contrast

    net = contrast._net()
    picture = np.random.default_rng(0).normal(size=(contrast.SIZE_PX, contrast.SIZE_PX)).astype(np.float32)
    x = torch.tensor(picture)[None, None]
    for layer, step in ((0, 1), (1, 2), (2, 1)):
        kernel, bias = torch.tensor(net.kernels[layer]), torch.tensor(net.biases[layer])
        x = torch.relu(torch.nn.functional.conv2d(x, kernel, bias, stride=step))
        x = torch.nn.functional.avg_pool2d(x, 2) if layer == 0 else x
    pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)[0].numpy()

    assert net.logit(picture) == pytest.approx(float(net.head @ pooled) + net.head_bias, abs=1e-4)


@pytest.mark.parametrize("shape", [(64, 50), (300, 290), (462, 448)])
def test_scale_and_offset_free_judgement_of_any_shape(shape):
    picture = np.random.default_rng(1).normal(100, 20, shape).astype(np.float32).clip(0)

    first = fluid_signal([picture], (0.6, 0.6)).p_bright

    assert 0 <= first <= 1
    assert fluid_signal([picture * 7], (0.6, 0.6)).p_bright == pytest.approx(first, abs=1e-3)


@pytest.mark.parametrize(("fluid", "is_bright"), [(2.0, True), (-1.0, False)])
def test_fluid_points_of_two_series_judge_a_third(fluid, is_bright):
    rng = np.random.default_rng(0)
    bright, dark = rng.normal(0, 0.3, (2, 5000)).astype(np.float32)
    bright[:400], dark[:400] = 2, -1
    judged = rng.normal(0, 0.5, 5000).astype(np.float32)
    judged[:400] += fluid

    assert fluid_by_reference(judged, bright, dark).is_bright is is_bright
    assert fluid_by_reference(judged[300:], bright[300:], dark[300:]).is_bright is None


def volume_of(pixels: np.ndarray, affine: np.ndarray) -> Volume:
    uids = tuple(map(str, range(len(pixels))))
    return Volume(affine, pixels.shape, uids, lambda indices: pixels[list(indices)])


@pytest.mark.parametrize("is_bright", [True, False])
def test_an_axial_series_is_judged_through_patient_space(is_bright):
    """A tube of fluid along z is carried from the sagittal grids to the axial one."""

    def scene(affine: np.ndarray, shape: tuple[int, int, int], tube: float) -> Volume:
        index = np.indices(shape).reshape(3, -1)
        x, y, z = affine[:3, :3] @ index + affine[:3, 3:]
        inside = (x**2 + y**2 < 10**2).reshape(shape)
        texture = 100 + 10 * np.sin(x / 9 + y / 7 + z / 11).reshape(shape)
        return volume_of(np.where(inside, tube, texture).astype(np.float32), affine)

    sagittal = np.array([[-4.0, 0, 0, 16], [0, 0, 1, -60], [0, -1, 0, 80], [0, 0, 0, 1]])
    axial = np.array([[0, 0, 1.0, -60], [0, 1, 0, -60], [8, 0, 0, -60], [0, 0, 0, 1]])
    bright, dark = (scene(sagittal, (9, 160, 120), tube) for tube in (250, 20))
    judged = scene(axial, (14, 120, 120), 250 if is_bright else 20)

    assert look_at_axial([judged], bright, dark).is_bright is is_bright


@pytest.mark.parametrize(
    ("said", "plane"),
    [
        ("t2_tse_sag_384", Plane.SAGITTAL),
        ("TSESAG T2", Plane.SAGITTAL),
        ("AXT2", Plane.AXIAL),
        ("AxT2 FSE", Plane.AXIAL),
        ("T2 TRA", Plane.AXIAL),
        ("TRASTACK", Plane.AXIAL),
        ("TRANSV", Plane.AXIAL),
        ("COR T1", Plane.CORONAL),
        ("T2 koronar", Plane.CORONAL),
        ("contrast", None),
        ("relaxation", None),
        ("survey", None),
    ],
)
def test_a_description_names_a_plane(said, plane):
    assert described_plane(said) is plane
