"""Read key object notes that reject images (DICOM PS3.3 C.17.6; IHE Imaging Object Change Management)."""

from collections.abc import Iterator
from dataclasses import dataclass

from imaging import tags
from imaging.elements import Elements
from imaging.facts import storable_uid
from imaging.walk import HeaderError
from nightread.errors import RejectImage
from nightread.reasons import Reason

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
REJECTING_TITLES = frozenset(("113001", "113037", "113038"))
"""Rejected for Quality Reasons, Rejected for Patient Safety Reasons, Incorrect Modality Worklist Entry (CID 7010)."""
MOST_INSTANCES = 20_000
_SCHEME = "DCM"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """The instances that a key object note rejects; all belong to the study of the note."""

    study_instance_uid: str
    code: str
    sop_instance_uids: tuple[str, ...]


def read_rejection(elements: Elements) -> Rejection | None:
    """Return the rejection; None if the note has another title. Raises RejectImage(BAD_KEY_OBJECT).

    The instances are read from the evidence sequence; instances of other studies are left out.
    """
    try:
        code = _title(elements)
        if code is None:
            return None
        study = storable_uid(elements.text(tags.STUDY_INSTANCE_UID)) or ""
        named = tuple(dict.fromkeys(_named(elements, study)))
    except HeaderError as error:
        raise RejectImage(Reason.BAD_KEY_OBJECT, str(error)) from None
    if not named:
        raise RejectImage(Reason.BAD_KEY_OBJECT, "The key object note rejects no image of its own study.")
    return Rejection(study_instance_uid=study, code=code, sop_instance_uids=named)


def _title(elements: Elements) -> str | None:
    for name in elements.items(tags.CONCEPT_NAME_CODES):
        code = name.text(tags.CODE_VALUE)
        if code in REJECTING_TITLES and name.text(tags.CODING_SCHEME) == _SCHEME:
            return code
    return None


def _named(elements: Elements, study: str) -> Iterator[str]:
    count = 0
    for evidence in elements.items(tags.EVIDENCE_SEQUENCE):
        if storable_uid(evidence.text(tags.STUDY_INSTANCE_UID)) != study:
            continue
        for series in evidence.items(tags.REFERENCED_SERIES):
            for instance in series.items(tags.REFERENCED_SOPS):
                count += 1
                if count > MOST_INSTANCES:
                    raise RejectImage(Reason.BAD_KEY_OBJECT, f"The note names more than {MOST_INSTANCES:,} instances.")
                uid = storable_uid(instance.text(tags.REFERENCED_SOP_INSTANCE_UID))
                if uid:
                    yield uid
