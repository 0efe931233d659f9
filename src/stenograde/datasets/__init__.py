"""Data sets, one file per set, in the terms of this package."""
