"""Reads DICOM studies; the only home of pydicom (the PACS side and the phantom apart)."""
