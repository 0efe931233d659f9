"""What a sender is told of an object, in the numbers of DICOM: by C-STORE as Status, by STOW-RS as FailureReason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stenograde.pacs.intake import Refusal

SUCCESS: Final = 0x0000
CLASS_NOT_SUPPORTED: Final = 0x0122
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
NOT_UNDERSTOOD: Final = 0xC000
"""PS3.4 B.2.3, PS3.7 C.4, PS3.18 I.2.2."""

STATUS: Final[Mapping[Refusal, int]] = {
    Refusal.NOT_UNDERSTOOD: NOT_UNDERSTOOD,
    Refusal.NOT_AS_TOLD: DOES_NOT_MATCH,
    Refusal.TOO_LARGE: OUT_OF_RESOURCES,
    Refusal.NO_ROOM: OUT_OF_RESOURCES,
    Refusal.UNAVAILABLE: OUT_OF_RESOURCES,
}
