"""Views of the cervical spine, and the side whose foramina each of them shows.

The patient stands at a wall stand with a vertical detector. In a posterior oblique view the patient's back is
turned to the detector and one of its sides nearer to it: right posterior oblique (RPO) means that the right side is
near. The rays then come from the left and in front and run along the left foramina, which lie away from the
detector: posterior obliques show the foramina of the far side, RPO the left and LPO the right ones. In an anterior
oblique view the patient faces the detector, and the rays run along the same lines in the opposite direction: right
anterior oblique (RAO) shows the right foramina and LAO the left ones, those of the near side. The central ray is
tilted by 15° towards the head where it comes from in front, towards the feet where it comes from behind, so that it
follows the foramina's slope (Radiopaedia, cervical spine, AP and PA oblique views, which also give the sides).

All films are displayed as if facing the patient.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from stenograde.phantom.body.curve import Array
from stenograde.phantom.neck.volume import Beam
from stenograde.terms import Side


class View(StrEnum):
    """View in which a film is taken."""

    AP = "ap"
    LATERAL = "lateral"
    RPO = "rpo"
    LPO = "lpo"
    RAO = "rao"
    LAO = "lao"

    @property
    def shown(self) -> str:
        """Text for display and for ViewPosition.

        Examples
        --------
        >>> View.RPO.shown
        'RPO'
        """
        return {"ap": "AP", "lateral": "LL"}.get(self.value, self.value.upper())

    @property
    def turn_deg(self) -> float:
        """Angle of the rays from straight backwards towards the patient's right; LPS, degrees."""
        return {"ap": 0.0, "lateral": -90.0, "rpo": 45.0, "lpo": -45.0, "rao": 135.0, "lao": -135.0}[
            self.value
        ]

    @property
    def tilt_deg(self) -> float:
        """Upward angle of the rays, degrees."""
        return {"ap": 15.0, "lateral": 0.0, "rpo": 15.0, "lpo": 15.0, "rao": -15.0, "lao": -15.0}[self.value]

    @property
    def foramina(self) -> Side | None:
        """Side whose foramina are open to the rays; None for AP and lateral views.

        Examples
        --------
        >>> View.RPO.foramina, View.RAO.foramina
        (<Side.LEFT: 'left'>, <Side.RIGHT: 'right'>)
        """
        open_side = {"rpo": Side.LEFT, "lao": Side.LEFT, "lpo": Side.RIGHT, "rao": Side.RIGHT}
        return open_side.get(self.value)

    @property
    def mirrored(self) -> View:
        """View that shows the mirrored patient as this one shows the patient; none for the lateral.

        Raises
        ------
        ValueError
            For the lateral view: its mirror image would be a right lateral, which is not simulated.
        """
        swapped = {"ap": View.AP, "rpo": View.LPO, "lpo": View.RPO, "rao": View.LAO, "lao": View.RAO}
        if self.value not in swapped:
            msg = f"view must be frontal or oblique to have a mirrored one, got {self.shown}"
            raise ValueError(msg)
        return swapped[self.value]


OBLIQUES = (View.RPO, View.LPO)
"""Views of an oblique examination in a cohort."""


def beam_of(view: View, centre_mm: Array, *, turn_deg: float, tilt_deg: float) -> Beam:
    """Return the beam of a view, for display as if facing the patient.

    Parameters
    ----------
    view : View
    centre_mm : ndarray of shape (3,)
        Point of the body frame in the middle of the film.
    turn_deg, tilt_deg : float
        Angles of the view, including errors of positioning.
    """
    turn = np.deg2rad(turn_deg)
    way = np.array([-np.sin(turn), np.cos(turn)])
    right = np.array([np.cos(turn), np.sin(turn)])
    # taken from behind, the film is turned over for display
    hung = -right if view in (View.RAO, View.LAO) else right
    return Beam(np.asarray(centre_mm, float), way, hung, float(np.tan(np.deg2rad(tilt_deg))))
