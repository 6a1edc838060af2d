"""Decide from header values whether an image could have names in its pixels, so that no picture of it is shown.

This module needs no DICOM library.
"""

from imaging.kind import SCREEN_TYPES, SECONDARY_CAPTURES

_PREFIX = "1.2.840.10008.5.1.4.1.1."
_ULTRASOUND = tuple(_PREFIX + suffix for suffix in ("3", "3.1", "6", "6.1", "6.2", "6.3"))
"""SOP classes of ultrasound and multi-frame ultrasound, in use and retired (PS3.4 B.5)."""
_ULTRASOUND_MODALITIES = ("US", "IVUS", "BDUS")
_CAMERA = tuple(_PREFIX + suffix for suffix in ("77.1.1", "77.1.1.1", "77.1.2.1", "77.1.4", "77.1.4.1"))
"""SOP classes of endoscopy, photographs and videos (PS3.4 B.5)."""
_CAMERA_MODALITIES = ("ES", "XC")
_CAPTURE_MODALITIES = ("OT", "SC")
_NO = ("", "NO", "N")
_SYNTHETIC = "SYN"
ALLOWED = "An operator may allow such pictures by the setting show_burned_in."


def why_withheld_by_header(
    *,
    burned_in: str | None,
    image_type: str | None,
    conversion_type: str | None,
    sop_class: str | None,
    modality: str | None,
) -> str | None:
    """Return why no picture of an image is shown or sent, as a sentence; None if the header allows it.

    Backslashes separate the values of `image_type`. An image without BurnedInAnnotation is allowed, unless images of
    its kind often show names (PS3.3 C.7.6.1, C.8.6.1).
    """
    if _word(burned_in) not in _NO:
        return f"The header says that there is text in the pixels (BurnedInAnnotation): no picture is shown. {ALLOWED}"
    types = {_word(value) for value in (image_type or "").split("\\")}
    if types & SCREEN_TYPES or _word(conversion_type) not in ("", _SYNTHETIC):
        return f"The image is a capture of a screen, a film or a document, so no picture is shown. {ALLOWED}"
    return why_withheld_by_class(sop_class, modality)


def why_withheld_by_class(sop_class: str | None, modality: str | None) -> str | None:
    """Return why no picture is shown, by SOP class and modality alone; None if they allow it."""
    modality = _word(modality)
    if modality in _ULTRASOUND_MODALITIES or sop_class in _ULTRASOUND:
        return f"Ultrasound images usually have a name in their pixels, so no picture is shown. {ALLOWED}"
    if modality in _CAPTURE_MODALITIES or sop_class in SECONDARY_CAPTURES:
        return f"Secondary captures often have a name in their pixels, so no picture is shown. {ALLOWED}"
    if modality in _CAMERA_MODALITIES or sop_class in _CAMERA:
        return f"Endoscopy and photographs often have a name in their pixels, so no picture is shown. {ALLOWED}"
    return None


def _word(value: str | None) -> str:
    return (value or "").strip().upper()
