"""One study's results as a DICOM Comprehensive SR (DICOM PS3.3, A.35.3), unverified and preliminary."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from highdicom.sr import ComprehensiveSR
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage, ExplicitVRLittleEndian

from db.queries import StudyResults
from delivery.codes import our_scheme
from delivery.identity import Identity
from delivery.tree import NOT_FOR_DIAGNOSIS, measurement_report, texts_of
from delivery.uids import stable_uid
from imaging.own_results import MAKER
from nightread import __version__
from nightread.implementation import IMPLEMENTATION_CLASS_UID

SOP_CLASS = ComprehensiveSRStorage
TRANSFER_SYNTAX = ExplicitVRLittleEndian
_DESCRIPTION = "AI results"
_SERIES_NUMBER = 9900
"""Behind those of modalities."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """Which report of the study this is."""

    sop_instance_uid: str
    replaces: str | None
    """SOP Instance UID of the one before."""
    number: int
    """1 for the first."""
    made_at: datetime
    """Site-local; the same for each try, so that what is sent again is the same."""


def build_report(study: StudyResults, revision: Revision, identity: Identity, *, not_for_diagnosis: bool) -> Dataset:
    """The whole data set with its file meta information. Raises ValueError for a study without results."""
    if not study.results:
        raise ValueError("there is nothing to report")
    evidence = list(_evidence(study))
    tree = measurement_report(study, not_for_diagnosis=not_for_diagnosis)
    # What it is given it copies twice, item by item: three quarters of the time of a large report. It gets a small one.
    small = measurement_report(replace(study, results=study.results[:1]), not_for_diagnosis=not_for_diagnosis)
    report = ComprehensiveSR(
        evidence=evidence,
        content=small,
        series_instance_uid=stable_uid("series", study.study_instance_uid),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=revision.sop_instance_uid,
        instance_number=revision.number,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        series_description=NOT_FOR_DIAGNOSIS if not_for_diagnosis else _DESCRIPTION,
        is_complete=not study.without_result,
        previous_versions=list(_predecessor(study, revision)) or None,
        coding_schemes=[our_scheme()],
        transfer_syntax_uid=TRANSFER_SYNTAX,
    )
    report.ContentSequence = tree[0].ContentSequence
    _true_class(report, study.results[0].sop_class_uid)
    _date(report, revision.made_at)
    report.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    report.file_meta.ImplementationVersionName = MAKER.upper()
    identity.put_into(report, ascii_only=all(text.isascii() for text in texts_of(study)))
    return report


def as_file(report: Dataset) -> bytes:
    """As DICOM PS3.10 has it."""
    buffer = io.BytesIO()
    report.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _evidence(study: StudyResults) -> Iterator[Dataset]:
    """What highdicom wants to know of the images; the first stands for patient and study, whom it is not told."""
    for number, result in enumerate(study.results):
        image = Dataset()
        image.StudyInstanceUID = study.study_instance_uid
        image.SeriesInstanceUID = result.series_instance_uid
        image.SOPInstanceUID = result.sop_instance_uid
        image.SOPClassUID = result.sop_class_uid
        if number == 0:
            image.SOPClassUID = CTImageStorage  # it looks for the modules of the class, and knows no private ones
            image.PatientID = image.PatientName = image.PatientBirthDate = image.PatientSex = ""
            image.StudyID = image.StudyDate = image.StudyTime = image.AccessionNumber = ""
        yield image


def _true_class(report: Dataset, sop_class_uid: str) -> None:
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPClassUID = sop_class_uid


def _predecessor(study: StudyResults, revision: Revision) -> Iterator[Dataset]:
    if revision.replaces is not None:
        before = Dataset()
        before.StudyInstanceUID = study.study_instance_uid
        before.SeriesInstanceUID = stable_uid("series", study.study_instance_uid)
        before.SOPInstanceUID, before.SOPClassUID = revision.replaces, SOP_CLASS
        yield before


def _date(report: Dataset, moment: datetime) -> None:
    """In place of the present, which highdicom writes."""
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    report.InstanceCreationDate = report.ContentDate = report.SeriesDate = date
    report.InstanceCreationTime = report.ContentTime = report.SeriesTime = time
    for equipment in report.ContributingEquipmentSequence:
        equipment.ContributionDateTime = date + time
