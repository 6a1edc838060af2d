"""Read the geometry of the slices of one object from its header.

A single-frame object is one slice. In an Enhanced multi-frame object each frame is a slice: its values come from the
functional groups of the frame, else from the shared groups, else from the top level (PS3.3 C.7.6.16.2).
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from imaging import tags
from imaging.elements import Elements
from imaging.facts import CODE_LENGTH, TEXT_LENGTH, UID_LENGTH, storable_text
from imaging.series.slice_geometry import Orientation, Position, SliceGeometry, StackAttributes
from imaging.walk import HeaderError

_TOP = None
_Places = Sequence[tuple[int | None, int]]
"""The places where a value may be. A place is the sequence of a functional group, or None for the top level, and a tag
in it."""
_POSITION: _Places = (tags.PLANE_POSITION_SEQUENCE, tags.IMAGE_POSITION), (_TOP, tags.IMAGE_POSITION)
_ORIENTATION: _Places = (tags.PLANE_ORIENTATION_SEQUENCE, tags.IMAGE_ORIENTATION), (_TOP, tags.IMAGE_ORIENTATION)
_SPACING: _Places = (tags.PIXEL_MEASURES_SEQUENCE, tags.PIXEL_SPACING), (_TOP, tags.PIXEL_SPACING)
_THICKNESS: _Places = (tags.PIXEL_MEASURES_SEQUENCE, tags.SLICE_THICKNESS), (_TOP, tags.SLICE_THICKNESS)
_STACK_ID: _Places = ((tags.FRAME_CONTENT_SEQUENCE, tags.STACK_ID),)
_TEMPORAL: _Places = (
    (tags.FRAME_CONTENT_SEQUENCE, tags.TEMPORAL_POSITION_INDEX),
    (_TOP, tags.TEMPORAL_POSITION_IDENTIFIER),
)
_ACQUISITION: _Places = (
    (tags.FRAME_CONTENT_SEQUENCE, tags.FRAME_ACQUISITION_NUMBER),
    (_TOP, tags.ACQUISITION_NUMBER),
)
_ECHO_TIME: _Places = (tags.MR_ECHO_SEQUENCE, tags.EFFECTIVE_ECHO_TIME), (_TOP, tags.ECHO_TIME)
_B_VALUE: _Places = (tags.MR_DIFFUSION_SEQUENCE, tags.B_VALUE), (_TOP, tags.B_VALUE)
_TRIGGER: _Places = (tags.CARDIAC_SYNCHRONIZATION_SEQUENCE, tags.CARDIAC_TRIGGER_DELAY), (_TOP, tags.TRIGGER_TIME)
_TYPES: _Places = (
    *((sequence, tags.FRAME_TYPE) for sequence in tags.FRAME_TYPE_SEQUENCES),
    (_TOP, tags.IMAGE_TYPE),
)
_CONTRAST = (tags.CONTRAST_ADMINISTERED, tags.CONTRAST_PHASE)
_THREE, _SIX = 3, 6
LARGEST = 1e9
"""Largest accepted number of a geometry; larger numbers are errors of the writer."""


def read_slices(elements: Elements, *, frames: int = 1, key: int = 0) -> tuple[SliceGeometry, ...]:
    """Return one SliceGeometry per frame of an object, in the order of its frames, each with the key `key`.

    `frames` is the counted number of frames. A value that is missing or invalid becomes None; no error is raised.
    """
    shared = _item(elements, tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE)
    outer = [elements] if shared is None else [shared, elements]
    groups = _frame_groups(elements, frames)
    return tuple(_slice([*groups[index : index + 1], *outer], elements, key, index) for index in range(frames))


def _frame_groups(elements: Elements, frames: int) -> list[Elements]:
    groups: list[Elements] = []
    try:
        groups.extend(islice(elements.items(tags.PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE), frames))
    except HeaderError:
        return groups  # the groups before the fault still describe their frames
    return groups


def _slice(groups: list[Elements], elements: Elements, key: int, frame: int) -> SliceGeometry:
    position, orientation = _numbers(groups, _POSITION, _THREE), _numbers(groups, _ORIENTATION, _SIX)
    spacing = _numbers(groups, _SPACING, 2)
    return SliceGeometry(
        key=key,
        frame=frame,
        position=None if position is None else _position(position),
        orientation=None if orientation is None else _orientation(orientation),
        rows=_integer([elements], ((_TOP, tags.ROWS),)),
        columns=_integer([elements], ((_TOP, tags.COLUMNS),)),
        pixel_spacing=None if spacing is None else (spacing[0], spacing[1]),
        slice_thickness=_number(groups, _THICKNESS),
        instance_number=_integer([elements], ((_TOP, tags.INSTANCE_NUMBER),)),
        sop_instance_uid=storable_text(elements.text(tags.SOP_INSTANCE_UID), UID_LENGTH),
        attributes=_attributes(groups, elements),
    )


def _attributes(groups: list[Elements], elements: Elements) -> StackAttributes:
    return StackAttributes(
        stack_id=_text(groups, _STACK_ID, CODE_LENGTH),
        temporal_position=_integer(groups, _TEMPORAL),
        echo_number=_integer([elements], ((_TOP, tags.ECHO_NUMBERS),)),
        echo_time=_number(groups, _ECHO_TIME),
        b_value=_number(groups, _B_VALUE),
        contrast=_contrast(groups, elements),
        image_type=_text(groups, _TYPES, TEXT_LENGTH),
        acquisition_number=_integer(groups, _ACQUISITION),
        trigger_time=_number(groups, _TRIGGER),
        gradient_direction=_gradient(groups),
    )


def _contrast(groups: list[Elements], elements: Elements) -> str | None:
    """Return the contrast agent; for Enhanced objects whether each agent was given, and its phase (C.7.6.16.2.12)."""
    for group in groups:
        try:
            used = [
                " ".join(filter(None, (usage.text(tag) for tag in _CONTRAST)))
                for usage in group.items(tags.CONTRAST_USAGE_SEQUENCE)
            ]
        except HeaderError:
            continue
        if used:
            return storable_text(", ".join(used), TEXT_LENGTH)
    return storable_text(elements.text(tags.CONTRAST_AGENT), TEXT_LENGTH)


def _gradient(groups: list[Elements]) -> Position | None:
    for diffusion in _items(groups, tags.MR_DIFFUSION_SEQUENCE):
        direction = _item(diffusion, tags.GRADIENT_DIRECTION_SEQUENCE)
        if direction is not None and (values := _numbers([direction], ((_TOP, tags.GRADIENT_ORIENTATION),), _THREE)):
            return _position(values)
    values = _numbers(groups[-1:], ((_TOP, tags.GRADIENT_ORIENTATION),), _THREE)
    return None if values is None else _position(values)


def _position(values: list[float]) -> Position:
    return values[0], values[1], values[2]


def _orientation(values: list[float]) -> Orientation:
    return values[0], values[1], values[2], values[3], values[4], values[5]


def _places(groups: list[Elements], places: _Places) -> Iterator[tuple[Elements, int]]:
    """Yield the data sets that may hold a value, the one that takes precedence first."""
    for sequence, tag in places:
        if sequence is _TOP:
            yield groups[-1], tag
        else:
            for item in _items(groups, sequence):
                yield item, tag


def _items(groups: list[Elements], sequence: int) -> Iterator[Elements]:
    for group in groups:
        if sequence in group and (item := _item(group, sequence)) is not None:
            yield item


def _item(elements: Elements, sequence: int) -> Elements | None:
    try:
        return elements.item(sequence)
    except HeaderError:
        return None


def _numbers(groups: list[Elements], places: _Places, count: int) -> list[float] | None:
    for place, tag in _places(groups, places):
        try:
            values = place.numbers(tag)
        except HeaderError:
            continue
        if len(values) == count and all(abs(value) < LARGEST for value in values):
            return values
    return None


def _number(groups: list[Elements], places: _Places) -> float | None:
    values = _numbers(groups, places, 1)
    return None if values is None else values[0]


def _integer(groups: list[Elements], places: _Places) -> int | None:
    value = _number(groups, places)
    return int(value) if value is not None and value == int(value) else None


def _text(groups: list[Elements], places: _Places, length: int) -> str | None:
    for place, tag in _places(groups, places):
        if (text := storable_text(place.text(tag), length)) is not None:
            return text
    return None
