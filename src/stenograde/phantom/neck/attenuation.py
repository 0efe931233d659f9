"""Linear attenuation of the tissues of a neck, 1/mm, at 50 keV: about the mean energy of a 75 kV beam behind a neck.

Mass attenuation and density of cortical bone, muscle, fat, water and air are those of ICRU-44 tissues in Hubbell and
Seltzer, NISTIR 5632 (1995), rounded. One energy stands for the spectrum: beam hardening is left out.
"""

from __future__ import annotations

from typing import Final

MUSCLE: Final = 0.0237
"""0.2262 cm²/g at 1.05 g/cm³."""

FAT: Final = 0.0202
"""0.2123 cm²/g at 0.95 g/cm³."""

BRAIN: Final = 0.0236
"""0.227 cm²/g at 1.04 g/cm³."""

CORTEX: Final = 0.0814
"""Cortical bone: 0.4242 cm²/g at 1.92 g/cm³."""

SPONGE: Final = 0.0410
"""Cancellous bone: muscle-like marrow with three tenths of the mineral of cortical bone, as cervical vertebrae have
(Yoganandan et al., Bone 2006, 10.1016/j.bone.2006.01.160: 256 ± 48 mg/cm³)."""

SKULL: Final = 0.0640
"""Cortical tables with diploe between them."""

TOOTH: Final = 0.1100
"""Value between enamel and dentine; by eye."""

LUNG: Final = 0.0060
"""0.2270 cm²/g at 0.26 g/cm³."""

AIR: Final = 0.0
