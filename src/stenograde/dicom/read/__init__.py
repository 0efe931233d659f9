"""Reads DICOM studies: files to instances, instances to series, series to volumes."""
