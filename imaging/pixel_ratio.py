"""Read the shape of the pixels: their height divided by their width."""

from collections.abc import Iterator
from itertools import islice

from imaging import tags
from imaging.elements import Elements
from imaging.walk import HeaderError

_SQUARE = 1.0
_NEARLY = 0.01
"""Pixels whose ratio differs from 1 by less than this are shown as squares, because spacings are rounded."""
_MOST = 20
"""A ratio beyond this, or below its inverse, is an error of the writer."""
_PAIR = 2


def pixel_ratio(elements: Elements | None, frame: int = 0) -> float:
    """Return the height of a pixel of this frame, from 0, divided by its width; 1 if the header says nothing usable.

    The spacing in the patient is used first, then the spacing on the detector or film, then the ratio alone (PS3.3
    10.7.1.3, C.7.6.3.1.7). The first value of each is the distance between rows, which is the height.
    """
    if elements is None:
        return _SQUARE
    for height, width in _pairs(elements, frame):
        ratio = height / width if width > 0 else 0.0
        if 1 / _MOST <= ratio <= _MOST:
            return _SQUARE if abs(ratio - _SQUARE) < _NEARLY else ratio
    return _SQUARE


def _pairs(elements: Elements, frame: int) -> Iterator[tuple[float, float]]:
    for group in _groups(elements, frame):
        yield from _pair(group, tags.PIXEL_SPACING)
    for tag in (tags.IMAGER_PIXEL_SPACING, tags.NOMINAL_SCANNED_PIXEL_SPACING, tags.PIXEL_ASPECT_RATIO):
        yield from _pair(elements, tag)


def _groups(elements: Elements, frame: int) -> Iterator[Elements]:
    """Yield the data sets that may have a pixel spacing: groups of the frame, shared groups, and the top level."""
    for sequence, index in (
        (tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frame),
        (tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE, 0),
    ):
        try:
            group = next(islice(elements.items(sequence), index, None), None)
            measures = group.item(tags.PIXEL_MEASURES_SEQUENCE) if group is not None else None
        except HeaderError:
            continue
        if measures is not None:
            yield measures
    yield elements


def _pair(place: Elements, tag: int) -> Iterator[tuple[float, float]]:
    try:
        values = place.numbers(tag)
    except HeaderError:
        return
    if len(values) == _PAIR:
        yield values[0], values[1]
