"""Simulated studies as real DICOM files and tables; whole cohorts."""
