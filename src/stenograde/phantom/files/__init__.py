"""Phantoms as real DICOM files and tables; whole cohorts."""
