"""Parse the response of a DICOMweb store to STOW-RS (DICOM PS3.18, section 10.5.3)."""

import json
from collections.abc import Iterable
from xml.etree import ElementTree as ET

from pydicom.dataset import Dataset

from delivery.store_scu import warning_from_status
from nightread.web import HttpResponse

_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, ET.ParseError)


def response_dataset(response: HttpResponse) -> Dataset:
    """Return the Store Instances Response Module; empty if there is none. Raises ValueError if it is invalid."""
    media_type = response.content_type.partition(";")[0].strip().lower()
    try:
        if response.body and media_type in ("application/dicom+json", "application/json"):
            return Dataset.from_json(json.loads(response.body))
        if response.body and media_type in ("application/dicom+xml", "application/xml"):
            return _from_xml(ET.fromstring(response.body))  # noqa: S314 - expat limits the expansion of entities
        if media_type in ("text/html", "application/xhtml+xml"):
            raise ValueError("a web page")  # of a proxy, a login, or another server at this address
    except _UNREADABLE as error:
        raise ValueError(f"invalid response ({type(error).__name__})") from None
    return Dataset()


def require_stored(response: Dataset, sop_instance_uid: str) -> str | None:
    """Return None, or a warning if the destination sent one. Raises NotDelivered if it did not store the report."""
    for item in response.get("FailedSOPSequence", ()):
        if item.get("ReferencedSOPInstanceUID", sop_instance_uid) == sop_instance_uid:
            warning_from_status(int(item.get("FailureReason") or 0xC000))
    for item in response.get("ReferencedSOPSequence", ()):
        if item.get("ReferencedSOPInstanceUID") == sop_instance_uid and item.get("WarningReason"):
            return f"The destination returned status {int(item.WarningReason):04X}H."
    return None


def _from_xml(attributes: Iterable[ET.Element]) -> Dataset:
    """Convert attributes of the Native DICOM Model (PS3.19, section A.1): sequences, and single values as text."""
    found = Dataset()
    for attribute in attributes:
        keyword, vr = attribute.attrib["keyword"], attribute.attrib["vr"]
        text = "".join(value.text or "" for value in attribute).strip()
        if vr == "SQ":
            setattr(found, keyword, [_from_xml(item) for item in attribute])
        else:
            setattr(found, keyword, int(text) if vr == "US" else text)
    return found
