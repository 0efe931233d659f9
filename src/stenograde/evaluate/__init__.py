"""Scores of predictions with intervals, beside trivial answers; leaks, tests, calibration and plots; no torch."""
