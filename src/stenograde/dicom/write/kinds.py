"""Kinds of DICOM objects that a study's results are written as; imports nothing heavy."""

from __future__ import annotations

from enum import StrEnum


class ResultKind(StrEnum):
    """Kind of DICOM object; the value is the word that a person asks for it with."""

    SR = "sr"
    """Comprehensive 3D Structured Report after TID 1500."""
    PDF = "pdf"
    """The report as an Encapsulated PDF."""
    SC = "sc"
    """Key pictures as Secondary Captures."""
    SEG = "seg"
    """Vertebrae, discs and canal as a Segmentation."""

    @property
    def shown(self) -> str:
        """Text for people, as in a SeriesDescription.

        Examples
        --------
        >>> [kind.shown for kind in ResultKind]
        ['measurements', 'report', 'key pictures', 'segmentation']
        """
        return {"sr": "measurements", "pdf": "report", "sc": "key pictures", "seg": "segmentation"}[
            self.value
        ]

    @property
    def modality(self) -> str:
        """Modality of its series (PS3.3 C.7.3.1.1.1, C.17.1, C.24.1)."""
        return {"sr": "SR", "pdf": "DOC", "sc": "OT", "seg": "SEG"}[self.value]

    @property
    def series_number(self) -> int:
        """SeriesNumber; scanners number from 1, so that these come last in a list."""
        return 9101 + tuple(ResultKind).index(self)
