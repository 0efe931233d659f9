"""Numpy pictures: intensity, resampling, orientation; no files."""
