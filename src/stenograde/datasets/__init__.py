"""Readers of data sets, one file per set, in the terms of this package."""
