"""Tells what a series may be for from one of its instances alone, before the others have come."""

from __future__ import annotations

from stenograde.dicom.read.frames import single_frame
from stenograde.dicom.read.instances import Instance
from stenograde.dicom.read.series import gather, possible_roles
from stenograde.errors import UnreadableInstanceError
from stenograde.terms import Role


def instance_role(instance: Instance) -> tuple[Role | None, int]:
    """Return the role that the header of an instance tells, and how many slices it holds.

    No picture is looked at: where the header leaves the weighting open there is no role, as for an instance that serves
    for none. Nor are functional groups read, for which all of a multi-frame instance would have to be. A role of one
    instance alone is no role of its series: a localizer has a sagittal slice, too.
    """
    if instance.has_functional_groups:
        return None, 0
    try:
        frame = single_frame(instance)
    except UnreadableInstanceError:
        return None, 0
    roles = possible_roles(gather(instance.series_uid, [frame]))
    return (roles[0] if len(roles) == 1 else None), 1
