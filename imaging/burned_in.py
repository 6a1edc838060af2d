"""Decide whether the pixels of an image may show names, by what its header says about its origin."""

from imaging import tags
from imaging.elements import Elements
from imaging.kind import SCREEN_TYPES, SECONDARY_CAPTURES

_ULTRASOUND = tuple(f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("3", "3.1", "6", "6.1", "6.2", "6.3"))
"""Ultrasound and multi-frame ultrasound, in use and retired (PS3.4 B.5)."""
_ULTRASOUND_MODALITIES = ("US", "IVUS", "BDUS")
_ALLOWED = "An operator may allow such pictures by the setting show_burned_in."
_SYNTHETIC = "SYN"


def why_withheld_by_class(sop_class: str | None, modality: str | None) -> str | None:
    """Return why no picture is shown, by SOP class and modality alone; None if they allow it."""
    if (modality or "").upper() in _ULTRASOUND_MODALITIES or sop_class in _ULTRASOUND:
        return f"Ultrasound images usually have a name in their pixels, so no picture is shown. {_ALLOWED}"
    if sop_class in SECONDARY_CAPTURES:
        return f"Secondary captures often have a name in their pixels, so no picture is shown. {_ALLOWED}"
    return None


def why_withheld(elements: Elements | None) -> str | None:
    """Return why no picture of an image with this header is shown, as a sentence; None if it may be shown.

    PNG and JPEG files (None) have no header that could say so. An image without BurnedInAnnotation may be shown, unless
    its kind speaks against it (PS3.3 C.7.6.1, C.8.6.1).
    """
    if elements is None:
        return None
    if _text(elements, tags.BURNED_IN_ANNOTATION).startswith("Y"):
        return f"The header says that there is text in the pixels (BurnedInAnnotation): no picture is shown. {_ALLOWED}"
    types = {value.strip() for value in _text(elements, tags.IMAGE_TYPE).split("\\")}
    if types & SCREEN_TYPES or _text(elements, tags.CONVERSION_TYPE) not in ("", _SYNTHETIC):
        return f"The image is a capture of a screen, a film or a document, so no picture is shown. {_ALLOWED}"
    return why_withheld_by_class(elements.text(tags.SOP_CLASS_UID), elements.text(tags.MODALITY))


def _text(elements: Elements, tag: int) -> str:
    return (elements.text(tag) or "").upper()
