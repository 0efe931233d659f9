"""A net that outlines what lies in a foramen on sagittal T1, learnt from phantoms, whose tissues are known."""
