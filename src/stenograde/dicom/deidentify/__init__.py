"""Takes from DICOM files what tells who the patient is: PS3.15 Annex E, by a table that is data."""
