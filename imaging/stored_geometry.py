"""Turn the geometry of the slices of an image into text for the database, and back.

Reading all values of a slice takes 150 us. Most values are the same for all slices of a series, so `SeriesCache` keeps
them. Only a few values are read for each slice.
"""

from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json, to_json

from imaging import tags
from imaging.elements import Elements
from imaging.header import read_header
from imaging.limits import Limits
from imaging.series.read_slices import LARGEST, read_slices
from imaging.series.slice_geometry import SliceGeometry
from imaging.series_cache import SeriesCache
from imaging.walk import HeaderError
from nightread.errors import RejectImage

_COLUMNS = frozenset(("key", "frame", "rows", "columns", "sop_instance_uid"))
"""Fields that are not stored: the row of the image has them, or the position in the list tells them."""
_GROUPS = (
    tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE,
    tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE,
    tags.PLANE_POSITION_SEQUENCE,
    tags.PLANE_ORIENTATION_SEQUENCE,
    tags.PIXEL_MEASURES_SEQUENCE,
    tags.FRAME_CONTENT_SEQUENCE,
    tags.MR_ECHO_SEQUENCE,
    tags.MR_DIFFUSION_SEQUENCE,
    tags.CARDIAC_SYNCHRONIZATION_SEQUENCE,
    tags.CONTRAST_USAGE_SEQUENCE,
    *tags.FRAME_TYPE_SEQUENCES,
)
"""Sequences of Enhanced objects. An object with none of them has all values at its top level."""
_OF_SERIES = (
    tags.IMAGE_ORIENTATION,
    tags.PIXEL_SPACING,
    tags.SLICE_THICKNESS,
    tags.TEMPORAL_POSITION_IDENTIFIER,
    tags.ECHO_NUMBERS,
    tags.ECHO_TIME,
    tags.B_VALUE,
    tags.CONTRAST_AGENT,
    tags.IMAGE_TYPE,
    tags.GRADIENT_ORIENTATION,
)


def geometry_text(elements: Elements | None, frames: int) -> str | None:
    """Return the geometry of each frame as a JSON list, in the order of the frames; None for a picture without header.

    A slice without usable values stays in the list, with no values.
    """
    if elements is None:
        return None
    if frames == 1 and not any(tag in elements for tag in _GROUPS):
        slices = [_plain_slice(elements)]
    else:
        slices = [_values(piece) for piece in read_slices(elements, frames=frames)]
    return to_json(slices, inf_nan_mode="null").decode()


def geometry_of_damaged(data: bytes, limits: Limits) -> str | None:
    """Return the geometry of a rejected object, which keeps its place in its stack; None without a usable header."""
    try:
        elements = read_header(data, limits).elements
    except RejectImage:
        return None
    return geometry_text(elements, 1) if len(elements) else None


def stored_slices(
    text: str, *, key: int, sop_instance_uid: str | None, rows: int | None, columns: int | None
) -> Iterator[SliceGeometry]:
    """Yield the slices of an image. `geometry_text` returned `text`; the other values are in the row of the image."""
    own = {"key": key, "sop_instance_uid": sop_instance_uid, "rows": rows, "columns": columns}
    for frame, values in enumerate(from_json(text)):
        yield SliceGeometry.from_json({**values, **own, "frame": frame})


def _plain_slice(elements: Elements) -> dict[str, Any]:
    """Return the values of a single-frame object whose values are all at the top level."""
    values = dict(_shared.get(elements))
    if (position := _numbers(elements, tags.IMAGE_POSITION, 3)) is not None:
        values["position"] = position
    if (instance := _number(elements, tags.INSTANCE_NUMBER)) is not None and instance.is_integer():
        values["instance_number"] = int(instance)
    own: dict[str, Any] = {}
    if (acquisition := _number(elements, tags.ACQUISITION_NUMBER)) is not None and acquisition.is_integer():
        own["acquisition_number"] = int(acquisition)
    if (trigger := _number(elements, tags.TRIGGER_TIME)) is not None:
        own["trigger_time"] = trigger
    return {**values, "attributes": {**values["attributes"], **own}} if own else values


def _number(elements: Elements, tag: int) -> float | None:
    values = _numbers(elements, tag, 1)
    return None if values is None else values[0]


def _numbers(elements: Elements, tag: int, count: int) -> list[float] | None:
    if tag not in elements:
        return None
    try:
        values = elements.numbers(tag)
    except HeaderError:
        return None
    return values if len(values) == count and all(abs(value) < LARGEST for value in values) else None


def _of_series(elements: Elements) -> dict[str, Any]:
    (piece,) = read_slices(elements)
    return _values(piece)


def _values(piece: SliceGeometry) -> dict[str, Any]:
    return {name: value for name, value in piece.to_json().items() if name not in _COLUMNS}


_shared = SeriesCache(_of_series, *_OF_SERIES)
