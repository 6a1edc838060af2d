"""Read what a DICOMweb store says of the instances that it was sent (DICOM PS3.18, section 10.5.3)."""

import json
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from pydicom.dataset import Dataset

from delivery.store_scu import warning_of
from nightread.web import HttpResponse

_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, ET.ParseError)


def response_dataset(response: HttpResponse) -> Dataset:
    """The Store Instances Response Module; empty where there is none. Raises ValueError for one that is unreadable."""
    media_type = response.content_type.partition(";")[0].strip().lower()
    try:
        if response.body and media_type in ("application/dicom+json", "application/json"):
            return Dataset.from_json(json.loads(response.body))
        if response.body and media_type in ("application/dicom+xml", "application/xml"):
            return _from_xml(ET.fromstring(response.body))  # noqa: S314 - expat limits what entities become
    except _UNREADABLE as error:
        raise ValueError(f"unreadable response ({type(error).__name__})") from None
    return Dataset()


def require_stored(answer: Dataset, sop_instance_uid: str) -> str | None:
    """What the destination warned of, in our words. Raises NotDelivered for a report that it did not store."""
    for item in answer.get("FailedSOPSequence", ()):
        if item.get("ReferencedSOPInstanceUID", sop_instance_uid) == sop_instance_uid:
            warning_of(int(item.get("FailureReason", 0xC000)))
    for item in answer.get("ReferencedSOPSequence", ()):
        if item.get("ReferencedSOPInstanceUID") == sop_instance_uid and "WarningReason" in item:
            return f"The destination answered with status {int(item.WarningReason):04X}H."
    return None


def _from_xml(attributes: Iterable[ET.Element]) -> Dataset:
    """Attributes of the Native DICOM Model (PS3.19, section A.1): sequences, and single values as text."""
    found = Dataset()
    for attribute in attributes:
        keyword, vr = attribute.attrib["keyword"], attribute.attrib["vr"]
        text = "".join(value.text or "" for value in attribute).strip()
        if vr == "SQ":
            setattr(found, keyword, [_from_xml(item) for item in attribute])
        else:
            setattr(found, keyword, int(text) if vr == "US" else text)
    return found
