"""Reports that nightread sent to a store, should the store send them back."""

from imaging import tags
from imaging.elements import Elements, HeaderError

MAKER = "nightread"
"""Manufacturer (0008,0070) of what we make."""
CODING_SCHEME = "99NIGHTREAD"
"""Designator (0008,0102) of the codes that are ours, which every report of ours declares (docs/reports.md)."""


def is_own_result(elements: Elements) -> bool:
    """Whether this object that is no image is a report of ours: by its maker, or by the codes that it declares.

    A store may write its own maker over the first; another program may quote a code of ours without declaring it.
    """
    if elements.text(tags.MODALITY) != "SR":
        return False
    return elements.text(tags.MANUFACTURER) == MAKER or _declares_our_codes(elements)


def _declares_our_codes(elements: Elements) -> bool:
    try:
        schemes = elements.items(tags.CODING_SCHEME_IDENTIFICATIONS)
        return any(scheme.text(tags.CODING_SCHEME) == CODING_SCHEME for scheme in schemes)
    except HeaderError:
        return False
