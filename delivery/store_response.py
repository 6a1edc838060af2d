"""Parse the response of a DICOMweb store to STOW-RS (DICOM PS3.18, section 10.5.3)."""

import json
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree as ET

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from delivery.store_scu import warning_from_status
from nightread.web import HttpResponse, bounded_integer

_MOST_VALUES = 50_000
"""The largest number of values in a response: pydicom needs up to 2 KiB for each. A normal response has about ten."""
_MOST_STATUS = 0xFFFF
_NO_REASON = 0xC000


def response_dataset(response: HttpResponse) -> Dataset:
    """Return the Store Instances Response Module of a response.

    Returns an empty data set if the response has no body, or a body that is neither JSON nor XML. Raises ValueError if
    the body cannot be parsed, or if the response is an HTML page.
    """
    media_type = response.content_type.partition(";")[0].strip().lower()
    if media_type in ("text/html", "application/xhtml+xml"):  # the page of a proxy, a login or another server
        raise ValueError("invalid response (ValueError)")
    try:
        if response.body and media_type in ("application/dicom+json", "application/json"):
            return Dataset.from_json(json.loads(_bounded(response.body, b",[{")))
        if response.body and media_type in ("application/dicom+xml", "application/xml"):
            return _from_xml(ET.fromstring(_bounded(response.body, b"<"), ET.XMLParser(target=_NoDoctype())))  # noqa: S314
    except Exception as error:  # noqa: BLE001 - pydicom raises exceptions of any type for invalid values
        raise ValueError(f"invalid response ({type(error).__name__})") from None
    return Dataset()


def require_stored(response: Dataset, sop_instance_uid: str) -> str | None:
    """Return the warning of the destination, or None if it sent no warning.

    Raises NotDelivered if the destination did not store the report, and ValueError if the module is invalid.
    """
    for item in _items(response, "FailedSOPSequence"):
        if item.get("ReferencedSOPInstanceUID", sop_instance_uid) == sop_instance_uid:
            warning_from_status(_status(item.get("FailureReason")) or _NO_REASON)
    for item in _items(response, "ReferencedSOPSequence"):
        status = _status(item.get("WarningReason"))
        if item.get("ReferencedSOPInstanceUID") == sop_instance_uid and status:
            return f"The destination returned status {status:04X}H."
    return None


def _items(response: Dataset, keyword: str) -> Iterable[Dataset]:
    items = response.get(keyword)
    if items is not None and not isinstance(items, Sequence):
        raise ValueError(f"{keyword} is not a sequence")
    return items or ()


def _status(value: object) -> int | None:
    """Return the value if it is a status (VR US), else None."""
    return bounded_integer(value, most=_MOST_STATUS)


def _bounded(body: bytes, signs: bytes) -> bytes:
    """Return the body. Raises ValueError if it may have too many values. Each value begins with one of the `signs`."""
    if sum(body.count(sign) for sign in signs) > _MOST_VALUES:
        raise ValueError("more values than a response can have")
    return body


class _NoDoctype(ET.TreeBuilder):
    """Refuses document type declarations, which can define entities that grow without end."""

    def doctype(self, *_declaration: Any) -> None:
        """Raise ValueError. The parser calls this for a document type declaration."""
        raise ValueError("a document type declaration")


def _from_xml(attributes: Iterable[ET.Element]) -> Dataset:
    """Convert attributes of the Native DICOM Model (PS3.19, section A.1): sequences, statuses (VR US) and texts.

    Keywords that are not in the dictionary are skipped, because they could replace methods of the data set.
    """
    found = Dataset()
    for attribute in attributes:
        keyword, vr = attribute.attrib["keyword"], attribute.attrib["vr"]
        if tag_for_keyword(keyword) is None:
            continue
        text = "".join(value.text or "" for value in attribute).strip()
        if vr == "SQ":
            setattr(found, keyword, [_from_xml(item) for item in attribute])
        else:
            setattr(found, keyword, _number(text) if vr == "US" else text)
    return found


def _number(text: str) -> int:
    number = bounded_integer(text, most=_MOST_STATUS)
    if number is None:
        raise ValueError("no status")
    return number
