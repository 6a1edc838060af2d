"""Make UIDs without a registered root: `2.25.` and a UUID as a number (DICOM PS3.5, section B.2)."""

from uuid import UUID, uuid4, uuid5

_NAMESPACE = UUID("7b0f6a52-1f0d-5d0a-9c3c-3d8f1c9f6f21")


def new_uid() -> str:
    """Return a new, globally unique UID."""
    return f"2.25.{uuid4().int}"


def stable_uid(kind: str, *names: str) -> str:
    """Return the UID of these names: the same at every call and on every host."""
    return f"2.25.{uuid5(_NAMESPACE, chr(0).join((kind, *names))).int}"


OWN_SERIES = ("series", "regions", "heat maps", "key images")
"""The kinds of series that nightread sends: reports, documents of regions, heat maps, key images."""


OWN_CLASSES = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR: reports and documents of regions
        "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR: the same, for destinations that accept no other
        "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map: heat maps
        "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture: key images
    )
)
"""The SOP classes of the objects that nightread makes."""


def own_series_uid(kind: str, study_instance_uid: str) -> str:
    """Return the UID of the series that holds all objects of this kind that nightread makes for this study."""
    return stable_uid(kind, study_instance_uid)


def own_series_uids(study_instance_uid: str) -> frozenset[str]:
    """Return the UIDs of all series that nightread makes for this study."""
    return frozenset(own_series_uid(kind, study_instance_uid) for kind in OWN_SERIES)
