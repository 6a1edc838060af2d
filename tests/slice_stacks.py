"""Make the slices of hand-made series: axial, 3 mm apart, in a matrix of 512 x 512, unless a test says otherwise."""

from collections.abc import Iterable
from typing import Any

from imaging.series.slice_geometry import SliceGeometry, StackAttributes

AXIAL_PLANE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL_PLANE = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL_PLANE = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def one_slice(key: int, z: float, **values: Any) -> SliceGeometry:
    """Return a slice at this height in mm; names of StackAttributes and of SliceGeometry may be given."""
    attributes = {name: values.pop(name) for name in StackAttributes._fields if name in values}
    usual: dict[str, Any] = {
        "position": (-120.0, -110.0, z),
        "orientation": AXIAL_PLANE,
        "rows": 512,
        "columns": 512,
        "pixel_spacing": (0.5, 0.5),
        "slice_thickness": 3.0,
        "instance_number": key,
        "sop_instance_uid": f"1.2.3.{key}",
    }
    return SliceGeometry(key=key, **usual | values, attributes=StackAttributes(**attributes))


def stack(heights: Iterable[float], *, first_key: int = 1, **values: Any) -> list[SliceGeometry]:
    """Return slices at these heights with successive keys and Instance Numbers."""
    return [one_slice(first_key + index, height, **values) for index, height in enumerate(heights)]


def heights(slices: Iterable[SliceGeometry]) -> list[float]:
    """Return the heights of slices in mm."""
    return [piece.position[2] for piece in slices if piece.position is not None]
