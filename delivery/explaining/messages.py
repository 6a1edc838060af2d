"""Define the request to the explaining process, and its answer."""

from dataclasses import dataclass
from datetime import datetime

from db.queries import OriginalFile, ReportableResult
from delivery.evidence import Evidence, NoRegions

HEAT_MAP, KEY_IMAGE = "heat_map", "key_image"
"""The objects that are pictures (nightread.sources.DeliveredObject)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainRequest:
    """One finding to explain."""

    result: ReportableResult
    """The result to explain. Its label is a finding."""
    study_instance_uid: str
    original: OriginalFile
    can_explain: bool
    """Whether this host can compute regions and a heat map. If not, only a key image can be made."""
    uids: dict[str, str]
    """The SOP Instance UID of each object to make, by its name."""
    number: int
    """Instance Number of the objects."""
    made_at: datetime
    """The time to write into the objects, in the local time of the site."""
    not_for_diagnosis: bool
    burned_in: bool
    """Whether a key image may be made if the pixels may contain names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """The explanation of one finding."""

    evidence: Evidence | None = None
    no_regions: NoRegions | None = None
    """The reason why there is no evidence."""
    objects: tuple[bytes, ...] = ()
    """The pictures that were made, each as the bytes of a DICOM file."""
    left_out: tuple[str, ...] = ()
    """Sentences that say which objects were not made, and why."""
