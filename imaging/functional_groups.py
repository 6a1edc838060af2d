"""Find the data set that holds a transformation of a frame: a functional group, else the top level (PS3.3 C.7.6.16.2).

Lawful groups hold a whole transformation. Some writers leave out half of one, and write it into the shared group or at
the top level; others leave out the sequence around it.
"""

from imaging import tags
from imaging.elements import Elements
from imaging.walk import HeaderError

MODALITY = (
    tags.PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    (tags.RESCALE_SLOPE, tags.RESCALE_INTERCEPT, tags.MODALITY_LUT_SEQUENCE),
)
VOI = tags.FRAME_VOI_LUT_SEQUENCE, (tags.WINDOW_CENTER, tags.WINDOW_WIDTH, tags.VOI_LUT_SEQUENCE)
_HALVES = {
    MODALITY[0]: (tags.RESCALE_SLOPE, tags.RESCALE_INTERCEPT),
    VOI[0]: (tags.WINDOW_CENTER, tags.WINDOW_WIDTH),
}
_SEQUENCES = tags.MODALITY_LUT_SEQUENCE, tags.VOI_LUT_SEQUENCE
_LONGEST_EMPTY = 64
"""A value of at most this many bytes is empty if it consists of padding. A longer value is never empty."""


def shared_group(elements: Elements) -> Elements | None:
    """Return the first item of the shared functional groups that is not empty."""
    if tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE not in elements:
        return None
    return next((item for item in elements.items(tags.SHARED_FUNCTIONAL_GROUPS_SEQUENCE) if len(item)), None)


def first_with(groups: list[Elements], sequence: int, wanted: tuple[int, ...]) -> Elements | None:
    """Return the first data set with a value of one of the `wanted` tags.

    The functional groups (item of `sequence`) are searched first, then the top level.
    """
    for index, group in enumerate(groups):
        if (item := item_with(group, sequence, wanted, groups[index + 1 :])) is not None:
            return item
    return groups[-1] if _has_value(groups[-1], wanted) else None


def item_with(group: Elements, sequence: int, wanted: tuple[int, ...], others: list[Elements]) -> Elements | None:
    """Return the data set of a group that has a value of one of the `wanted` tags; None if it has none.

    If it lacks half of a transformation, and one of the `others`, the groups behind it, has nothing but that half, they
    belong together.
    """
    item = group.item(sequence) if sequence in group else None
    if item is None or not _has_value(item, wanted):
        if not others or not _has_value(group, wanted):
            return None
        item = group
    return _completed(item, sequence, others) if others else item


def _completed(item: Elements, sequence: int, others: list[Elements]) -> Elements:
    """Return the item with what it lacks of a rescale or a window: one half, or the function of the window."""
    halves = _HALVES[sequence]
    present = [_has_value(item, (tag,)) for tag in halves]
    if not any(present):
        return item
    missing = [tag for tag, has in zip(halves, present, strict=True) if not has]
    if sequence == VOI[0] and tags.VOI_LUT_FUNCTION not in item:
        missing.append(tags.VOI_LUT_FUNCTION)
    found = dict(item.found)
    for other in others if missing else ():
        for place in (other.item(sequence), other):
            if place is not None and not _is_whole(place, halves):
                found = {tag: place.found[tag] for tag in missing if _has_value(place, (tag,))} | found
    return Elements.at_known_places(item.data, item.encoding, item.start, item.end, found)


def _is_whole(place: Elements, halves: tuple[int, ...]) -> bool:
    """Return whether a data set has both halves: they belong together, and to no other half."""
    return all(_has_value(place, (tag,)) for tag in halves)


def _has_value(place: Elements, wanted: tuple[int, ...]) -> bool:
    """Return whether one of the elements is present and has a value: some writers add empty elements."""
    for tag in wanted:
        element = place.get(tag)
        if element is None or not element[2]:
            continue
        if tag in _SEQUENCES:
            if _has_item(place, tag):
                return True
            continue
        if element[2] > _LONGEST_EMPTY or place.raw(tag).strip(b" \x00\\"):
            return True
    return False


def _has_item(place: Elements, tag: int) -> bool:
    """Return whether a sequence has an item with elements. A damaged sequence counts too, so that it is reported."""
    try:
        return any(len(item) for item in place.items(tag))
    except HeaderError:
        return True
