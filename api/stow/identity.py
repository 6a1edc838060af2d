"""Read the UIDs of a DICOM object from its first bytes, without its pixels."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from nightread.plain_text import is_uid

if TYPE_CHECKING:  # the API starts a tenth of a second sooner without pydicom
    from pydicom.tag import BaseTag

_PREAMBLE_BYTES = 128
_MAGIC = b"DICM"
_STUDY = 0x0020000D
_DEFLATED = "1.2.840.10008.1.2.1.99"


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceIdentity:
    """The UIDs by which a response names an instance."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str | None
    """Study Instance UID; None if the first bytes do not contain it, or if the object is deflated."""


def instance_identity(head: bytes) -> InstanceIdentity | None:
    """Return the UIDs in the first bytes of a DICOM file (PS3.10); None if the bytes are not from a valid file."""
    from pydicom.filereader import read_dataset  # noqa: PLC0415 - the API starts a tenth of a second sooner without it

    if head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + len(_MAGIC)] != _MAGIC:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings quote the data
        try:
            # read_partial is not used here, because it inflates a deflated object before it calls `stop_when`.
            elements = BytesIO(head[_PREAMBLE_BYTES + len(_MAGIC) :])
            meta = read_dataset(
                elements, is_implicit_VR=False, is_little_endian=True, stop_when=_is_past_meta_information
            )
            sop_class, instance = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
            is_deflated = meta.TransferSyntaxUID == _DEFLATED
        except Exception:  # noqa: BLE001 - pydicom raises errors of many kinds for damaged files
            return None
        if not (is_uid(sop_class) and is_uid(instance)):
            return None
        study = None if is_deflated else _study(head)
    return InstanceIdentity(sop_class_uid=sop_class, sop_instance_uid=instance, study_instance_uid=study)


def _study(head: bytes) -> str | None:
    from pydicom.filereader import read_partial  # noqa: PLC0415

    try:
        dataset = read_partial(BytesIO(head), stop_when=_is_past_study)
        return str(dataset.StudyInstanceUID)
    except Exception:  # noqa: BLE001 - the worker reads the whole file later, and records its reason
        return None


def _is_past_meta_information(tag: "BaseTag", _vr: str | None, _length: int) -> bool:
    return bool(tag.group > 2)  # noqa: PLR2004 - the file meta information


def _is_past_study(tag: int, _vr: str | None, _length: int) -> bool:
    return bool(tag > _STUDY)
