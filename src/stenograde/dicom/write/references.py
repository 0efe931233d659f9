"""References from an object to the instances that it was made of (PS3.3 10.3, C.12.2)."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom import Dataset

from stenograde.dicom.read.instances import Instance
from stenograde.dicom.write.sources import Sources, is_multiframe, sop_class_of
from stenograde.errors import UnreadableInstanceError


def instance_of(sources: Sources, sop_instance_uid: str, series_uid: str) -> Instance:
    """Return an instance of a series, or of the other series that a slice was joined from.

    Raises
    ------
    UnreadableInstanceError
        If the study has no such instance.
    """
    try:
        return sources.of(sop_instance_uid, series_uid)
    except UnreadableInstanceError:
        return sources.of(sop_instance_uid)


def reference_to(instance: Instance, frames: Iterable[int] = ()) -> Dataset:
    """Return a reference to an instance, and to some of its frames (from 0) where it has several."""
    ds = Dataset()
    ds.ReferencedSOPClassUID, ds.ReferencedSOPInstanceUID = sop_class_of(instance), instance.sop_instance_uid
    numbers = [frame + 1 for frame in frames]
    if numbers and is_multiframe(instance):
        ds.ReferencedFrameNumber = numbers if len(numbers) > 1 else numbers[0]
    return ds


def referenced_series(instances: Iterable[Instance]) -> list[Dataset]:
    """Return the items of a ReferencedSeriesSequence: each series once, with its instances (PS3.3 C.12.2)."""
    by_series: dict[str, dict[str, Dataset]] = {}
    for one in instances:
        by_series.setdefault(one.series_uid, {}).setdefault(one.sop_instance_uid, reference_to(one))
    items = []
    for uid, references in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID, item.ReferencedInstanceSequence = uid, list(references.values())
        items.append(item)
    return items
