"""Attention weights become curves by the place of a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stenograde.experiments.grid.figures import ATTENTION, attention_figures, mean_profile


def test_equal_weights_are_a_level_line_whatever_the_number_of_slices() -> None:
    padded = np.zeros((3, 8), np.float32)
    padded[0, :8], padded[1, :3], padded[2, :1] = 1 / 8, 1 / 3, 1
    np.testing.assert_allclose(mean_profile([padded]), 1, rtol=1e-6)


def test_a_slice_that_counts_more_stands_out_at_its_place() -> None:
    weights = np.array([[0.1, 0.1, 0.6, 0.1, 0.1, 0]], np.float32)
    profile = mean_profile([weights, weights])
    assert int(np.argmax(profile)) == 10
    assert profile[10] == pytest.approx(3.0, rel=1e-6)
    assert profile[0] == profile[-1] == pytest.approx(0.5, rel=1e-6)


def test_each_file_is_a_figure_with_a_line_for_each_condition(tmp_path: Path) -> None:
    (tmp_path / ATTENTION).mkdir()
    weights = np.full((2, 4), 0.25, np.float32)
    parts = {f"part-{k}-{name}": weights for k in (1, 2) for name in ("spinal_canal_stenosis",)}
    np.savez(
        tmp_path / ATTENTION / "resnet50-minmax-attention-512.npz", studies=np.array(["a", "b"]), **parts
    )
    (figure,) = attention_figures(tmp_path)
    assert "resnet50, minmax, attention, 512" in figure.svg
    assert "Spinal canal stenosis" in figure.svg
    assert not list(attention_figures(tmp_path / "nowhere"))
