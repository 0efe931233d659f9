"""Signals, slice profile, k-space and artefacts against equations worked by hand and against scipy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm, rice

from stenograde.evaluate.leakage import AuditedPictures, audit
from stenograde.images.lattice import Grid
from stenograde.phantom import (
    Artefacts,
    ContrastMode,
    Protocol,
    ProtocolMix,
    draw_protocol,
    make_patient,
    plan_study,
    render_series,
)
from stenograde.phantom.body.tissues import FAT_SHARE, SpinEcho, Tissue, with_marrow_fat
from stenograde.phantom.scanner import render
from stenograde.phantom.scanner.acquisition import SlicePlane
from stenograde.phantom.scanner.kspace import Encoding, acquire, fat_shift_px, window
from stenograde.phantom.scanner.look import Look
from stenograde.phantom.scanner.metal import screws
from stenograde.phantom.scanner.render import painted_shape, slice_profile
from stenograde.phantom.scanner.sequences import draw_echo, draw_field
from stenograde.terms import LUMBAR_MRI, Condition, Role

_SMALL = {"sagittal_matrix": 96, "sagittal_slices": 1, "axial_matrix": 64, "axial_slices_per_level": 1}


def test_spin_echo_gives_the_signal_worked_by_hand() -> None:
    """Muscle at 1.5 T, TR 500, TE 10: 0.80 (1 - e^-0.5) e^(-10/44)."""
    assert SpinEcho(500, 10).signals()[Tissue.MUSCLE] == pytest.approx(0.8 * 0.393469 * 0.796709, rel=1e-4)


def test_stir_nulls_fat_at_its_time_and_leaves_fluid() -> None:
    """With long TR the null is at T1 ln 2: 201 ms at 1.5 T for T1 290 ms."""
    stir = SpinEcho(60_000, 60, inversion_ms=290 * math.log(2)).signals()
    assert stir[Tissue.FAT] == pytest.approx(0, abs=1e-6)
    short = SpinEcho(4000, 60, inversion_ms=195).signals()
    by_hand = abs(1 - 2 * math.exp(-195 / 4000) + math.exp(-1)) * math.exp(-60 / 1400)
    assert short[Tissue.CSF] == pytest.approx(by_hand, rel=1e-4)
    assert short[Tissue.FAT] < 0.2 * short[Tissue.MUSCLE]


def test_field_changes_relaxation_as_published() -> None:
    """From 1.5 to 3 T the T1 of muscle grows and its T1-weighted signal falls; that of fluid does not."""
    low, high = (SpinEcho(600, 10, field_t=field).signals() for field in (1.5, 3.0))
    assert high[Tissue.MUSCLE] < 0.85 * low[Tissue.MUSCLE]
    assert high[Tissue.CSF] == pytest.approx(low[Tissue.CSF], rel=0.01)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    role=st.sampled_from(list(Role)),
    field_t=st.sampled_from([1.5, 3.0]),
)
def test_held_out_timing_is_never_drawn_elsewhere(seed: int, role: Role, field_t: float) -> None:
    rng = np.random.default_rng(seed)
    held = draw_echo(rng, role, ContrastMode.LONG_TE_3T, field_t=3.0)
    longest, slowest = (16.0, 950.0) if role is Role.SAGITTAL_T1 else (128.0, 5600.0)
    assert held.echo_ms > longest
    assert held.repetition_ms > slowest
    assert draw_field(rng, ContrastMode.LONG_TE_3T) == 3.0
    for mode in (ContrastMode.CLINICAL, ContrastMode.RANDOMISED):
        echo = draw_echo(rng, role, mode, field_t=field_t)
        assert echo.echo_ms <= longest
        assert echo.repetition_ms <= slowest


@pytest.mark.parametrize("layers", [1, 2, 3, 7])
def test_slice_profile_is_a_box_with_normal_edges(layers: int) -> None:
    depths, weights = slice_profile(layers)
    edges = norm(scale=0.10)

    def profile(depth: float) -> float:
        return float(edges.cdf(depth + 0.5) - edges.cdf(depth - 0.5))

    half = 0.65 / layers
    parts = np.array([quad(profile, depth - half, depth + half, points=(-0.5, 0.5))[0] for depth in depths])
    np.testing.assert_allclose(weights, parts / parts.sum(), atol=1e-4)


def test_noise_in_air_and_in_signal_is_rician() -> None:
    rng = np.random.default_rng(5)
    for level in (0.0, 2.0, 20.0):
        flat = np.full((1, 128, 128), level, np.float32)
        picture = acquire(flat, Encoding(acquired=(1.0, 1.0), noise=1.0), rng)
        wanted = rice(level)
        assert picture.mean() == pytest.approx(wanted.mean(), rel=0.03)
        assert picture.std() == pytest.approx(wanted.std(), rel=0.05)


def test_lines_not_acquired_hold_nothing() -> None:
    rng = np.random.default_rng(2)
    white = rng.standard_normal((1, 64, 64)).astype(np.float32) + 10
    picture = acquire(white, Encoding(acquired=(0.5, 1.0)), rng)
    power = np.abs(np.fft.fft2(picture)) ** 2
    lines = np.abs(np.fft.fftfreq(64)) > 0.25
    assert power[lines].sum() < 1e-6 * power.sum()
    assert window(64, 0.5)[0] == 1


def test_fat_is_shifted_by_what_the_field_and_the_bandwidth_say() -> None:
    """3.5 ppm of 63.87 MHz is 224 Hz: one pixel at 224 Hz per pixel."""
    shift = fat_shift_px(1.5, 3.5 * 63.866)
    assert shift == pytest.approx(1.0, abs=1e-3)
    signal = np.zeros((2, 32, 32), np.float32)
    signal[0, 8, 8], signal[1, 20, 20] = 1, 1
    picture = acquire(signal, Encoding(acquired=(1.0, 1.0), fat_shift_px=3.0), np.random.default_rng(0))
    assert np.unravel_index(picture[:16].argmax(), (16, 32)) == (8, 8)
    assert np.unravel_index(picture[16:].argmax(), (16, 32)) == (4, 23)


@pytest.mark.parametrize("shape", [(48, 56), (45, 64), (64, 50)])
@pytest.mark.parametrize(
    "encoding",
    [
        Encoding((0.5, 0.7)),
        Encoding((0.6, 0.75), fat_shift_px=2.4),
        Encoding((0.6, 0.75), ghosting=0.2),
    ],
)
def test_a_slice_painted_in_fewer_pixels_gives_the_same_picture(
    shape: tuple[int, int], encoding: Encoding
) -> None:
    def painted(rows: int, columns: int) -> Grid:
        y, x = np.arange(rows)[:, None] / rows, np.arange(columns) / columns
        water = np.exp(3 * np.cos(2 * np.pi * (x - 0.3)) + 2 * np.cos(2 * np.pi * (y - 0.6)))
        fat = np.exp(2 * np.cos(2 * np.pi * (x - 0.8)) + 3 * np.cos(2 * np.pi * (y - 0.1)))
        return np.stack([water, fat]).astype(np.float32)

    whole = acquire(painted(64, 64), encoding, np.random.default_rng(1))
    picture = acquire(painted(*shape), encoding, np.random.default_rng(1), (64, 64))
    assert picture.shape == (64, 64)
    np.testing.assert_allclose(picture, whole, atol=1e-4 * whole.max())


def test_noise_is_as_strong_however_few_pixels_are_painted() -> None:
    rng = np.random.default_rng(5)
    for shape in ((128, 128), (90, 120)):
        flat = np.full((1, *shape), 20.0, np.float32)
        picture = acquire(flat, Encoding(acquired=(0.6, 0.9), noise=1.0), rng, (128, 128))
        assert picture.mean() == pytest.approx(rice(20.0).mean(), rel=0.01)
        assert picture.std() == pytest.approx(rice(20.0).std(), rel=0.05)


@pytest.mark.parametrize("pixel_mm", [0.3, 0.625, 2.0])
@pytest.mark.parametrize("acquired", [(0.45, 0.6), (0.6, 0.75), (0.85, 1.0)])
def test_slices_are_painted_as_finely_as_they_are_acquired(
    acquired: tuple[float, float], pixel_mm: float
) -> None:
    plane = SlicePlane(np.zeros(3), np.array([1.0, 0, 0, 0, 1, 0]), 448, pixel_mm, 4.0)
    for n, share in zip(painted_shape(plane, acquired), acquired, strict=True):
        assert 448 * share <= n <= 448
        assert pixel_mm * 448 / n <= max(1.0, pixel_mm)
    assert painted_shape(plane, (1.0, 1.0)) == (448, 448)


def test_a_picture_painted_as_finely_as_it_is_acquired_is_that_of_all_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patient = make_patient(4)
    look = replace(Look(), acquired=(0.55, 0.55), snr=(1e6, 1e6))
    plan = replace(plan_study(patient, Protocol(sagittal_matrix=320, sagittal_slices=1))[1], look=look)
    once = render_series(patient, plan, layers=1, rng=np.random.default_rng(0))[0].astype(float)
    monkeypatch.setattr(render, "painted_shape", lambda plane, _acquired: (plane.matrix,) * 2)
    whole = render_series(patient, plan, layers=1, rng=np.random.default_rng(0))[0].astype(float)
    assert np.abs(once - whole).mean() < 0.01 * np.percentile(whole, 99)
    assert np.corrcoef(once.ravel(), whole.ravel())[0, 1] > 0.998


def test_ghosts_and_motion_spread_along_the_phase_direction_only() -> None:
    signal = np.zeros((1, 64, 64), np.float32)
    signal[0, 28:36, 20:30] = 1
    for encoding in (Encoding((1.0, 1.0), ghosting=0.2), Encoding((1.0, 1.0), motion_px=3.0)):
        picture = acquire(signal, encoding, np.random.default_rng(1))
        clean = acquire(signal, Encoding((1.0, 1.0)), np.random.default_rng(1))
        assert np.abs(picture - clean)[:, 20:30].max() > 0.02
        assert np.abs(picture - clean)[:, 40:].max() < 0.01


def test_metal_leaves_voids_at_the_pedicles_and_nothing_far_away() -> None:
    patient = make_patient(4)
    clean, metal = (
        plan_study(patient, Protocol(sagittal_matrix=96, artefacts=artefacts))[0]
        for artefacts in (Artefacts(), Artefacts(metal_levels=2))
    )
    pictures = [
        render_series(patient, plan, layers=1, rng=np.random.default_rng(0)).astype(float)
        for plan in (clean, metal)
    ]
    head, tip = screws(patient, 2)[-1]
    middle = patient.to_patient(((head + tip) / 2)[None])[0]
    found = clean.nearest(middle)
    assert found
    number, row, column = found
    where = (number, round(row), round(column))
    assert pictures[1][where] < 0.4 * pictures[0][where]
    assert np.abs(pictures[1] - pictures[0])[:, :15].max() < 0.25 * pictures[0].max()
    assert len(screws(patient, 2)) == 6


def test_flow_void_darkens_the_upper_sac_only() -> None:
    patient = make_patient(6)
    pictures = {}
    for strength in (0.0, 0.8):
        protocol = Protocol(
            sagittal_matrix=128, sagittal_slices=1, field_t=1.5, artefacts=Artefacts(flow_void=strength)
        )
        plan = plan_study(patient, protocol)[1]
        pictures[strength] = render_series(patient, plan, layers=1, rng=np.random.default_rng(0)).astype(
            float
        )
    lost = (pictures[0.0] - pictures[0.8]).max(axis=(0, 2))
    upper, lower = lost[:40].max(), lost[95:].max()
    assert upper > 3 * lower


@pytest.mark.parametrize("mode", list(ContrastMode))
def test_drawn_protocols_render_and_repeat(mode: ContrastMode) -> None:
    protocol = draw_protocol(np.random.default_rng(8), ProtocolMix(mode, missing_share=0.5))
    assert protocol == draw_protocol(np.random.default_rng(8), ProtocolMix(mode, missing_share=0.5))
    patient = make_patient(8)
    plan = plan_study(patient, Protocol(**_SMALL, contrast=mode))[0]
    once, again, other = (
        render_series(patient, plan, layers=1, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


def test_randomised_series_differ_more_than_clinical_ones() -> None:
    """The spread of the ratio of two tissues' signals, both modes from the same echo."""
    spread = {}
    signals = SpinEcho(3600, 100).signals()
    for mode in (ContrastMode.CLINICAL, ContrastMode.RANDOMISED):
        look = plan_study(make_patient(1), Protocol(**_SMALL, contrast=mode))[0].look
        rng = np.random.default_rng(0)
        drawn = np.array([look.draw_signals(rng, signals) for _ in range(200)])
        assert (drawn[:, Tissue.AIR] == 0).all()
        spread[mode] = np.log(drawn[:, Tissue.CSF] / drawn[:, Tissue.MUSCLE]).std()
    assert spread[ContrastMode.RANDOMISED] > 2 * spread[ContrastMode.CLINICAL]


def test_block_of_axial_slices_is_parallel_and_several_series_share_the_levels() -> None:
    patient = make_patient(2)
    plans = plan_study(
        patient, Protocol(axial_block=True, axial_series=2, missing=frozenset({Role.SAGITTAL_T1}))
    )
    assert [plan.role for plan in plans] == [Role.SAGITTAL_T2_STIR, Role.AXIAL_T2, Role.AXIAL_T2]
    for plan in plans[1:]:
        assert len({tuple(plane.normal) for plane in plan.planes}) == 1


def test_different_patients_have_different_bellies() -> None:
    """No patient's texture is another's moved: the best match by phase correlation stays poor."""
    from stenograde.phantom.body.canvas import Noise

    axis = np.arange(0, 64, 1, np.float32)
    x, y = (part.ravel() for part in np.meshgrid(axis, axis))
    fields = [Noise(seed, 4, 13.0, smooth=10.0, size=128).at(x, y, 0 * x).reshape(64, 64) for seed in (1, 2)]
    cross = np.fft.ifft2(np.fft.fft2(fields[0]) * np.conj(np.fft.fft2(fields[1]))).real
    own = (fields[0] ** 2).sum(), (fields[1] ** 2).sum()
    assert cross.max() / (own[0] * own[1]) ** 0.5 < 0.75


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match=r"field must be one of \(1.5, 3.0\) T, got 7"):
        SpinEcho(500, 10, field_t=7.0)
    with pytest.raises(ValueError, match="TI must be above 0 and below TR, got TI 600"):
        SpinEcho(500, 10, inversion_ms=600)
    with pytest.raises(ValueError, match="STIR must be a variant of a T2 series"):
        draw_echo(np.random.default_rng(0), Role.SAGITTAL_T1, ContrastMode.CLINICAL, field_t=1.5, stir=True)
    with pytest.raises(ValueError, match="flow void must be at most 1"):
        Artefacts(flow_void=2)
    with pytest.raises(ValueError, match="strengths of artefacts must not be below 0"):
        Artefacts(ghosting=-1)
    with pytest.raises(ValueError, match="stir_share must be from 0 to 1, got 2"):
        ProtocolMix(stir_share=2)
    with pytest.raises(ValueError, match="one role not missing"):
        Protocol(missing=frozenset(Role))


def test_fatter_marrow_is_brighter_on_t1_and_darker_on_stir() -> None:
    t1, stir = SpinEcho(600, 10).signals(), SpinEcho(4000, 60, inversion_ms=200).signals()
    for signals, sign in ((t1, 1), (stir, -1)):
        lean, fat = (with_marrow_fat(signals, share) for share in (0.2, 0.6))
        assert sign * (fat[Tissue.MARROW] - lean[Tissue.MARROW]) > 0
        np.testing.assert_allclose(
            with_marrow_fat(signals, FAT_SHARE[Tissue.MARROW])[Tissue.MARROW],
            signals[Tissue.MARROW],
            rtol=1e-5,
        )
        assert lean[Tissue.AIR] == 0


def test_different_patients_are_no_look_alikes() -> None:
    """The audit that finds leaks between training and test finds none between different patients."""
    pictures = []
    for seed in range(8):
        patient = make_patient(500 + seed)
        plan = plan_study(patient, Protocol(sagittal_matrix=128, sagittal_slices=1))[seed % 2]
        picture = render_series(patient, plan, layers=1, rng=np.random.default_rng(seed))[0]
        pictures.append(np.clip(picture / np.percentile(picture, 99) * 255, 0, 255).astype(np.uint8))
    names = tuple(f"{k}" for k in range(8))
    sides = [
        AuditedPictures(names[part], names[part], np.stack(pictures[part]))
        for part in (slice(0, 4), slice(4, 8))
    ]
    report = audit(*sides)
    assert report.near_duplicates == report.twins == ()


def test_short_fields_miss_the_foramina_or_a_level_and_whole_ones_miss_nothing() -> None:
    patient = make_patient(3)
    missed = set()
    for seed in range(12):
        protocol = draw_protocol(np.random.default_rng(seed), ProtocolMix(short_field_share=1.0))
        whole = draw_protocol(np.random.default_rng(seed), ProtocolMix())
        assert protocol.step_mm == whole.step_mm
        assert protocol.sagittal_field_mm / protocol.sagittal_matrix == pytest.approx(
            whole.sagittal_field_mm / whole.sagittal_matrix, rel=0.01
        )
        plan, usual = (plan_study(patient, one)[0] for one in (protocol, whole))
        cells = [cell for cell in LUMBAR_MRI.cells if not plan.nearest(np.array(patient.point(cell)))]
        assert cells
        assert all(usual.nearest(np.array(patient.point(cell))) for cell in LUMBAR_MRI.cells)
        missed.add(cells[0].condition)
    assert missed == {Condition.SPINAL_CANAL_STENOSIS, Condition.NEURAL_FORAMINAL_NARROWING}
