"""Build the report of one study as a DICOM Comprehensive SR (PS3.3, A.35.3), unverified and preliminary."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from highdicom.sr import ComprehensiveSR
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, CTImageStorage, ExplicitVRLittleEndian

from db.queries import StudyResults
from delivery.codes import coding_scheme
from delivery.identity import Identity
from delivery.tree import NOT_FOR_DIAGNOSIS, free_texts, measurement_report
from imaging.own_results import MAKER
from nightread import __version__
from nightread.implementation import IMPLEMENTATION_CLASS_UID
from nightread.uids import report_series_uid

SOP_CLASS = ComprehensiveSRStorage
TRANSFER_SYNTAX = ExplicitVRLittleEndian
_DESCRIPTION = "AI results"
_SERIES_NUMBER = 9900
"""Higher than the series numbers of modalities, so that viewers list the report last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """Identifies one report among all reports of a study."""

    sop_instance_uid: str
    replaces: str | None
    """SOP Instance UID of the previous report; None for the first."""
    number: int
    """1 for the first report."""
    made_at: datetime
    """Local time of the site. It is the same for each attempt, so that a repeated report is identical."""


def build_report(study: StudyResults, revision: Revision, identity: Identity, *, not_for_diagnosis: bool) -> Dataset:
    """Build the complete data set with its file meta information. Raises ValueError for a study without results."""
    if not study.results:
        raise ValueError("the study has no results to report")
    evidence = list(_evidence(study))
    tree = measurement_report(study, not_for_diagnosis=not_for_diagnosis)
    # highdicom copies its content twice, item by item: three quarters of the time for a large report. It gets a small
    # tree here; the complete tree replaces it below.
    small = measurement_report(replace(study, results=study.results[:1]), not_for_diagnosis=not_for_diagnosis)
    report = ComprehensiveSR(
        evidence=evidence,
        content=small,
        series_instance_uid=report_series_uid(study.study_instance_uid),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=revision.sop_instance_uid,
        instance_number=revision.number,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        series_description=NOT_FOR_DIAGNOSIS if not_for_diagnosis else _DESCRIPTION,
        is_complete=not study.without_result,
        previous_versions=list(_predecessor(study, revision)) or None,
        coding_schemes=[coding_scheme()],
        transfer_syntax_uid=TRANSFER_SYNTAX,
    )
    report.ContentSequence = tree[0].ContentSequence
    _set_first_sop_class(report, study.results[0].sop_class_uid)
    _set_dates(report, revision.made_at)
    report.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    report.file_meta.ImplementationVersionName = MAKER.upper()
    identity.copy_into(report, ascii_only=all(text.isascii() for text in free_texts(study)))
    return report


def file_bytes(report: Dataset) -> bytes:
    """Encode the report as a DICOM file (PS3.10)."""
    buffer = io.BytesIO()
    report.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _evidence(study: StudyResults) -> Iterator[Dataset]:
    """Yield one data set per image, with the elements that highdicom requires.

    highdicom copies patient and study from the first image. They are empty here; `Identity.copy_into` sets them later.
    """
    for number, result in enumerate(study.results):
        image = Dataset()
        image.StudyInstanceUID = study.study_instance_uid
        image.SeriesInstanceUID = result.series_instance_uid
        image.SOPInstanceUID = result.sop_instance_uid
        image.SOPClassUID = result.sop_class_uid
        if number == 0:
            image.SOPClassUID = CTImageStorage  # highdicom fails for private classes; corrected after the build
            image.PatientID = image.PatientName = image.PatientBirthDate = image.PatientSex = ""
            image.StudyID = image.StudyDate = image.StudyTime = image.AccessionNumber = ""
        yield image


def _set_first_sop_class(report: Dataset, sop_class_uid: str) -> None:
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPClassUID = sop_class_uid


def _predecessor(study: StudyResults, revision: Revision) -> Iterator[Dataset]:
    if revision.replaces is not None:
        previous = Dataset()
        previous.StudyInstanceUID = study.study_instance_uid
        previous.SeriesInstanceUID = report_series_uid(study.study_instance_uid)
        previous.SOPInstanceUID, previous.SOPClassUID = revision.replaces, SOP_CLASS
        yield previous


def _set_dates(report: Dataset, moment: datetime) -> None:
    """Replace the current time, which highdicom writes."""
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    report.InstanceCreationDate = report.ContentDate = report.SeriesDate = date
    report.InstanceCreationTime = report.ContentTime = report.SeriesTime = time
    for equipment in report.ContributingEquipmentSequence:
        equipment.ContributionDateTime = date + time
