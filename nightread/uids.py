"""Make UIDs without a registered root: `2.25.` and a UUID as a number (DICOM PS3.5, section B.2)."""

from uuid import UUID, uuid4, uuid5

_NAMESPACE = UUID("7b0f6a52-1f0d-5d0a-9c3c-3d8f1c9f6f21")


def new_uid() -> str:
    """Return a new, globally unique UID."""
    return f"2.25.{uuid4().int}"


def stable_uid(kind: str, *names: str) -> str:
    """Return the UID of these names: the same at every call and on every host."""
    return f"2.25.{uuid5(_NAMESPACE, chr(0).join((kind, *names))).int}"


def report_series_uid(study_instance_uid: str) -> str:
    """Return the UID of the series that holds the reports of nightread for this study."""
    return stable_uid("series", study_instance_uid)
