"""Write the response of a store transaction (DICOM PS3.18, annex I), as JSON (annex F) or as XML (PS3.19, annex A)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from xml.etree import ElementTree as ET

from api.json_response import json_text
from api.stow.identity import InstanceIdentity

JSON, XML = "application/dicom+json", "application/dicom+xml"

_RETRIEVE_URL, _FAILURE_REASON = "00081190", "00081197"
_SOP_CLASS, _SOP_INSTANCE = "00081150", "00081155"
_FAILED, _REFERENCED, _OTHER_FAILURES = "00081198", "00081199", "0008119A"
_KEYWORDS = {
    _RETRIEVE_URL: "RetrieveURL",
    _FAILURE_REASON: "FailureReason",
    _SOP_CLASS: "ReferencedSOPClassUID",
    _SOP_INSTANCE: "ReferencedSOPInstanceUID",
    _FAILED: "FailedSOPSequence",
    _REFERENCED: "ReferencedSOPSequence",
    _OTHER_FAILURES: "OtherFailuresSequence",
}
Attributes = dict[str, dict[str, Any]]


class FailureReason(IntEnum):
    """Why an instance was not stored (DICOM PS3.18, table I.2-2)."""

    PROCESSING_FAILURE = 0x0110
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH = 0xA900
    CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPart:
    """The result of storing one part of the request."""

    identity: InstanceIdentity | None
    failure: FailureReason | None = None
    """Why the part was not stored; None if its instance is durable in the database."""


def store_response(parts: Sequence[StoredPart]) -> Attributes:
    """Return the attributes of the response by tag."""
    referenced = [_named(part) | {_RETRIEVE_URL: {"vr": "UR"}} for part in parts if part.failure is None]
    failed = [_named(part) | _reason(part) for part in parts if part.failure is not None and part.identity]
    others = [_reason(part) for part in parts if part.failure is not None and not part.identity]
    sequences = {_FAILED: failed, _REFERENCED: referenced, _OTHER_FAILURES: others}
    return {
        _RETRIEVE_URL: {"vr": "UR"},  # present and empty, because instances cannot be retrieved from nightread
        **{tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items},
    }


def _named(part: StoredPart) -> Attributes:
    assert part.identity is not None  # noqa: S101 - without one, nothing is stored
    return {
        _SOP_CLASS: {"vr": "UI", "Value": [part.identity.sop_class_uid]},
        _SOP_INSTANCE: {"vr": "UI", "Value": [part.identity.sop_instance_uid]},
    }


def _reason(part: StoredPart) -> Attributes:
    return {_FAILURE_REASON: {"vr": "US", "Value": [int(part.failure or 0)]}}


def as_json(attributes: Attributes) -> str:
    """Return the attributes in the DICOM JSON model."""
    return json_text(attributes)


def as_xml(attributes: Attributes) -> str:
    """Return the attributes in the native DICOM model (XML)."""
    root = ET.Element("NativeDicomModel", {"xmlns": "http://dicom.nema.org/PS3.19/models/NativeDICOM"})
    _add(root, attributes)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _add(parent: ET.Element, attributes: Attributes) -> None:
    for tag, attribute in sorted(attributes.items()):
        named = {"tag": tag, "vr": attribute["vr"], "keyword": _KEYWORDS[tag]}
        element = ET.SubElement(parent, "DicomAttribute", named)
        for number, value in enumerate(attribute.get("Value", ()), 1):
            if attribute["vr"] == "SQ":
                _add(ET.SubElement(element, "Item", {"number": str(number)}), value)
            else:
                ET.SubElement(element, "Value", {"number": str(number)}).text = str(value)
