"""A protocol for phantoms that are small."""

from stenograde.phantom import Protocol

SMALL = Protocol(
    sagittal_matrix=160,
    sagittal_field_mm=230,
    sagittal_slices=3,
    axial_matrix=64,
    axial_slices_per_level=2,
    layers=1,
    thickness_mm=5,
)
"""Few and small slices, so that grading one takes a fraction of a second."""
