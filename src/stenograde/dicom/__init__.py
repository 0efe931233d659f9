"""DICOM in and out; with the PACS side and the phantom the only home of pydicom."""
