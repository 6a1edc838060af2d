"""Recognise the objects of nightread when a store sends them back."""

from imaging import tags
from imaging.elements import Elements
from imaging.walk import HeaderError
from nightread.uids import OWN_CLASSES, own_series_uids

MAKER = "nightread"
"""Manufacturer (0008,0070) in the objects that nightread makes."""
CODING_SCHEME = "99NIGHTREAD"
"""Designator (0008,0102) of the codes of nightread. Each of its reports declares it (docs/reports.md)."""


def is_own_result(elements: Elements) -> bool:
    """Return whether a non-image object is a report of nightread, by its manufacturer or its declared coding scheme.

    A store may replace the manufacturer by its own. A code of nightread alone proves nothing: other programs may quote
    it without declaring its scheme.
    """
    if elements.text(tags.MODALITY) != "SR":
        return False
    return elements.text(tags.MANUFACTURER) == MAKER or _declares_own_scheme(elements)


def is_own_picture(elements: Elements) -> bool:
    """Return whether an object with pixels is a heat map or key image of nightread.

    A store may replace the manufacturer by its own, so the UID of the series is compared too.
    """
    if (elements.text(tags.SOP_CLASS_UID) or "").strip(" \0") not in OWN_CLASSES:
        return False
    if elements.text(tags.MANUFACTURER) == MAKER:
        return True
    study, series = (elements.text(tag) or "" for tag in (tags.STUDY_INSTANCE_UID, tags.SERIES_INSTANCE_UID))
    return series.strip(" \0") in own_series_uids(study.strip(" \0"))


def _declares_own_scheme(elements: Elements) -> bool:
    try:
        schemes = elements.items(tags.CODING_SCHEME_IDENTIFICATIONS)
        return any(scheme.text(tags.CODING_SCHEME) == CODING_SCHEME for scheme in schemes)
    except HeaderError:
        return False
