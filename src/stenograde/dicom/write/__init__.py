"""Writes DICOM objects that belong to the study they were made from."""
