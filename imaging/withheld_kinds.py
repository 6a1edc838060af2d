"""Decide by SOP class and modality alone whether the pixels of an image may show names. It needs no DICOM library."""

from imaging.kind import SECONDARY_CAPTURES

_ULTRASOUND = tuple(f"1.2.840.10008.5.1.4.1.1.{suffix}" for suffix in ("3", "3.1", "6", "6.1", "6.2", "6.3"))
"""Ultrasound and multi-frame ultrasound, in use and retired (PS3.4 B.5)."""
_ULTRASOUND_MODALITIES = ("US", "IVUS", "BDUS")
ALLOWED = "An operator may allow such pictures by the setting show_burned_in."


def why_withheld_by_class(sop_class: str | None, modality: str | None) -> str | None:
    """Return why no picture is shown, by SOP class and modality alone; None if they allow it."""
    if (modality or "").upper() in _ULTRASOUND_MODALITIES or sop_class in _ULTRASOUND:
        return f"Ultrasound images usually have a name in their pixels, so no picture is shown. {ALLOWED}"
    if sop_class in SECONDARY_CAPTURES:
        return f"Secondary captures often have a name in their pixels, so no picture is shown. {ALLOWED}"
    return None
