"""Find what the header of a grey image asks for that nightread does not apply: the picture in a viewer may differ."""

from imaging import tags
from imaging.elements import Elements
from imaging.pixel_layout import GRAYSCALE, PixelLayout
from imaging.tags import tag_name

_SHAPES = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}
"""PresentationLUTShape that goes with each photometric interpretation (PS3.3 C.8.11.3.1.2)."""
_COLOURED = ("COLOR", "MIXED")


def not_applied(elements: Elements, layout: PixelLayout) -> str:
    """Return a sentence on the first such element; empty if there is none."""
    if layout.photometric not in GRAYSCALE:
        return ""
    shape = (elements.text(tags.PRESENTATION_LUT_SHAPE) or "").upper()
    if shape in _SHAPES.values() and shape != _SHAPES[layout.photometric]:
        photometric = tag_name(tags.PHOTOMETRIC_INTERPRETATION)
        return f"{tag_name(tags.PRESENTATION_LUT_SHAPE)} contradicts {photometric}, which was used."
    for tag in (tags.PRESENTATION_LUT_SEQUENCE, tags.GRAY_LOOKUP_TABLE_DATA):
        element = elements.get(tag)
        if element and element[2]:
            return f"{tag_name(tag)} was not applied."
    return _supplemental_palette(elements)


def _supplemental_palette(elements: Elements) -> str:
    """Return a sentence if some stored values mean colours instead of greys (PS3.3 C.7.6.19)."""
    if tags.PALETTE_DESCRIPTORS[0] not in elements or elements.text(tags.PIXEL_PRESENTATION) not in _COLOURED:
        return ""
    return "The supplemental colour palette was not applied: pixels that are coloured were used as bright greys."
