"""Write the header of a cell: what identifies it, its image pixel module, and its transforms."""

from typing import Any

from metamorphic.axes import BITS, GREYS, SIZES, Cell
from metamorphic.colours import LABELS, palette
from metamorphic.grey import group_items, transforms
from metamorphic.modality import IN_GROUPS, modality
from metamorphic.voi import voi

Elements = dict[int, tuple[str, Any]]

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_RESCALE_GROUP, _VOI_GROUP = 0x00289145, 0x00289132
_COUNTS = {"1": "1", "zero_1": "0", "3": "3", "1_of_3": "1", "2_of_3": "2", "4_of_3": "4"}
_LABELS_OF_SLIPS = {
    "empty_photometric": "",
    "photometric_blank": "MONOCHROME 2",
    "photometric_lower": "monochrome2",
}


def identification(cell: Cell) -> Elements:
    """Return what identifies the object, and elements that no analysis needs."""
    nested = {0x00081150: ("UI", "1.2.840.10008.5.1.4.1.1.7"), 0x00081155: ("UI", "1.2.3.9")}
    elements: Elements = {
        0x00080016: ("UI", "1.2.840.10008.5.1.4.1.1.7"),
        0x00080018: ("UI", "1.2.3.4.5"),
        0x00080020: ("DA", "20261101"),
        0x00080060: ("CS", "OT"),
        0x00081140: ("SQ", [nested | {0x0040A170: ("SQ", [{0x00080104: ("LO", b"code")}])}, nested]),
        0x00100010: ("PN", "Cell^Matrix"),
        0x00100020: ("LO", b"CELL"),
        0x001021B0: ("LT", "history1"),
        0x0020000D: ("UI", "1.2.3"),
        0x0020000E: ("UI", "1.2.3.4"),
    }
    if cell.file == "odd_length":
        elements[0x0008103E] = "LO", b"chest"
    if cell.file == "private":
        elements[0x00090010] = "LO", b"MATRIX"
        elements[0x00091001] = "UN", b"\xfe\xff\x00\xe0\xff\xff\xff\xff\xe0\x7f\x10\x00"
        elements[0x00091002] = "SQ", [{0x00090010: ("LO", b"MATRIX"), 0x00091003: ("UN", b"\1\2\3\4")}]
    return elements


def image_header(cell: Cell, frames: int) -> Elements:
    """Return the image pixel module and the transforms, with the slip of the cell."""
    elements = _pixel_module(cell) | dict(palette(cell)) | _transforms(cell, frames)
    if cell.frames in _COUNTS:
        elements[0x00280008] = "IS", _COUNTS[cell.frames]
    _slip(elements, cell)
    return elements


def _pixel_module(cell: Cell) -> Elements:
    bits = BITS[cell.bits]
    rows, columns = SIZES[cell.size]
    label = LABELS.get(cell.colour, cell.colour)
    samples = 1 if cell.colour in GREYS or label == "PALETTE COLOR" else 3
    elements: Elements = {
        0x00280002: ("US", [samples]),
        0x00280004: ("CS", label),
        0x00280010: ("US", [rows]),
        0x00280011: ("US", [columns]),
        0x00280100: ("US", [bits.allocated]),
    }
    if samples > 1:
        elements[0x00280006] = "US", [int(cell.colour.endswith("planar"))]
    if not bits.floating:
        elements[0x00280101] = "US", [bits.stored]
        elements[0x00280102] = "US", [bits.high]
        elements[0x00280103] = "US", [int(cell.sign == "signed")]
    return elements


def _transforms(cell: Cell, frames: int) -> Elements:
    if cell.colour not in GREYS:  # a rescale or window beside colours has no meaning, but some devices write it
        return dict(modality(cell, 0).elements) | dict(voi(cell, modality(cell, 0), 0).elements)
    transform, mapping = transforms(cell, 0)
    elements: Elements = {}
    if cell.modality not in IN_GROUPS:
        elements |= transform.elements
    if cell.voi not in IN_GROUPS:
        elements |= mapping.elements
    if "per_frame" in (cell.modality, cell.voi):
        elements[_PER_FRAME] = "SQ", [_groups(cell, "per_frame", frame) for frame in range(frames)]
    if {cell.modality, cell.voi} & set(IN_GROUPS):
        elements[_SHARED] = "SQ", [_groups(cell, "shared", 0)]
    return elements


def _groups(cell: Cell, level: str, frame: int) -> Elements:
    """Return one item of the shared or per-frame functional groups."""
    rescale, window = group_items(cell, frame)
    item: Elements = {0x00209111: ("SQ", [{0x00209157: ("UL", [1, frame + 1])}])}
    if cell.modality == level:
        item[_RESCALE_GROUP] = "SQ", [rescale]
    if cell.voi == level:
        item[_VOI_GROUP] = "SQ", [window]
    return item


def _slip(elements: Elements, cell: Cell) -> None:
    """Make the mistake of the cell."""
    absent = {
        "no_photometric": (0x00280004,),
        "no_samples": (0x00280002,),
        "no_bits_stored": (0x00280101, 0x00280102),
        "no_representation": (0x00280103,),
    }
    for tag in absent.get(cell.slip, ()):
        elements.pop(tag, None)
    if cell.slip in _LABELS_OF_SLIPS:
        elements[0x00280004] = "CS", _LABELS_OF_SLIPS[cell.slip]
    if cell.slip == "unneeded_invalid":
        elements[0x00280030] = "DS", "N/A"
        if cell.colour in GREYS:
            elements[0x00280006] = "US", [0, 1]
        else:
            elements[0x00281053] = "DS", "N/A"
