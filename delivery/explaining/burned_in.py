"""Decide whether the pixels of an image may contain the name of a patient."""

from pydicom.dataset import Dataset
from pydicom.uid import UID

_SUSPECTS = ("Ultrasound", "Secondary Capture", "Video", "Encapsulated")
"""Words in the names of SOP classes whose images often have names in their pixels and seldom say so."""
_SUSPECT_MODALITIES = frozenset(("US", "OT", "SC", "XC", "ES"))


def may_show_names(header: Dataset) -> bool:
    """Return whether the image says that names are burned in (0028,0301), or is of a kind that often has them."""
    if str(header.get("BurnedInAnnotation") or "").strip().upper() not in ("", "NO"):
        return True
    name = UID(str(header.get("SOPClassUID") or "")).name
    modality = str(header.get("Modality") or "").strip().upper()
    return any(word in name for word in _SUSPECTS) or modality in _SUSPECT_MODALITIES
