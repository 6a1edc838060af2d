"""Read the identity of patient and study from the header of an image. It is never stored and never logged."""

import io
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

UTF_8 = "ISO_IR 192"
_CHARACTER_SET = Tag("SpecificCharacterSet")
_OF_PATIENT_AND_STUDY = tuple(
    Tag(keyword)
    for keyword in (
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "IssuerOfAccessionNumberSequence",
        "ReferringPhysicianName",
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "IssuerOfPatientIDQualifiersSequence",
        "PatientBirthDate",
        "PatientSex",
        "StudyID",
    )
)
_REQUIRED = tuple(
    Tag(keyword)
    for keyword in (
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ReferringPhysicianName",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyID",
    )
)
"""Elements of type 2: required, but may be empty (DICOM PS3.3, sections C.7.1.1 and C.7.2.1)."""


class UnreadableHeaderError(Exception):
    """The header cannot be read, or belongs to another image or study."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The elements of a header that identify patient and study, as they were written in the file."""

    header: Dataset

    def __repr__(self) -> str:
        """Show no element, so that no log line can hold one."""
        return "Identity()"

    def copy_into(self, report: Dataset, *, ascii_only: bool) -> None:
        """Copy the identity into a report.

        Set `ascii_only` if all other texts of the report are ASCII: the report then uses the character set of the
        source, so that every byte of a name is kept. Otherwise the report uses UTF-8.
        """
        for tag in _REQUIRED:
            report[tag] = DataElement(tag, dictionary_VR(tag), None)
        for tag in _OF_PATIENT_AND_STUDY:
            if tag in self.header:
                report[tag] = self._as_written(tag) if ascii_only else self._decoded(tag)
        if not ascii_only:
            report.SpecificCharacterSet = UTF_8
        elif _CHARACTER_SET in self.header:
            report[_CHARACTER_SET] = self.header[_CHARACTER_SET]

    def _as_written(self, tag: BaseTag) -> DataElement | RawDataElement:
        element = self.header.get_item(tag)
        if not isinstance(element, RawDataElement) or dictionary_VR(tag) == "SQ":
            return self.header[tag]
        return element._replace(VR=dictionary_VR(tag), is_implicit_VR=False, is_little_endian=True)

    def _decoded(self, tag: BaseTag) -> DataElement:
        element = self.header[tag]
        value: Any = element.value
        return DataElement(tag, element.VR, str(value) if element.VR == "PN" else value)


def read_identity(data: bytes, *, study_instance_uid: str, sop_instance_uid: str) -> Identity:
    """Read the identity from a DICOM file. Raises UnreadableHeaderError, also if the file has other UIDs than these."""
    uids = (Tag("SOPInstanceUID"), Tag("StudyInstanceUID"))
    try:
        header = pydicom.dcmread(
            io.BytesIO(data),
            stop_before_pixels=True,
            force=True,
            specific_tags=[_CHARACTER_SET, *_OF_PATIENT_AND_STUDY, *uids],
        )
        found = tuple(str(header.get(tag, "")).strip(" \0") for tag in ("SOPInstanceUID", "StudyInstanceUID"))
    except Exception as error:  # noqa: BLE001 - pydicom raises exceptions of any type for invalid bytes
        raise UnreadableHeaderError(f"the header cannot be read ({type(error).__name__})") from None
    if found != (sop_instance_uid, study_instance_uid):
        raise UnreadableHeaderError("the file now holds another image")
    return Identity(header=header)
