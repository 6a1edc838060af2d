"""Build the documents of a study as DICOM Comprehensive 3D SR (PS3.3, A.35.13), unverified and preliminary."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from highdicom.base_content import ContributingEquipment
from highdicom.sr import Comprehensive3DSR, ContentSequence
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage, CTImageStorage, ExplicitVRLittleEndian

from db.queries import ReportableResult, StudyResults
from delivery.codes import coding_scheme
from delivery.evidence import NO_EVIDENCE, StudyEvidence
from delivery.identity import Identity
from delivery.region_tree import region_report
from delivery.template_items import device_uid
from delivery.tree import NOT_FOR_DIAGNOSIS, free_texts, measurement_report
from imaging.own_results import MAKER
from nightread import __version__
from nightread.implementation import IMPLEMENTATION_CLASS_UID
from nightread.uids import own_series_uid, stable_uid

SOP_CLASS = Comprehensive3DSRStorage
"""The SOP class that the profile IHE AI Results asks for."""
TRANSFER_SYNTAX = ExplicitVRLittleEndian
_DESCRIPTION = "AI results"
_SERIES_NUMBERS = {"series": 9900, "regions": 9901}
"""The numbers of the series of nightread. They are higher than those of modalities, so viewers list them last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """Identifies one report among all reports of a study."""

    sop_instance_uid: str
    replaces: str | None
    """SOP Instance UID of the previous report; None for the first."""
    number: int
    """Number of the report among the reports of the study, from 1."""
    made_at: datetime
    """Local time of the site. It is the same for each attempt, so that a repeated report is identical."""


def build_report(
    study: StudyResults,
    revision: Revision,
    identity: Identity,
    evidence: StudyEvidence = NO_EVIDENCE,
    *,
    further: Sequence[Dataset] = (),
    not_for_diagnosis: bool,
) -> Dataset:
    """Build the complete report with its file meta information. Raises ValueError for a study without results.

    `further` are objects of the same delivery: the report names them as other evidence.
    """
    if not study.results:
        raise ValueError("the study has no results to report")
    tree = measurement_report(study, evidence, not_for_diagnosis=not_for_diagnosis)
    # highdicom copies its content twice, item by item, which takes three quarters of the time for a large report. So
    # it gets a small tree here; the complete tree replaces it in `_document`.
    small = measurement_report(replace(study, results=study.results[:1]), not_for_diagnosis=not_for_diagnosis)
    report = _document("series", small, tree, study, study.results, revision, not_for_diagnosis=not_for_diagnosis)
    if further:
        report.PertinentOtherEvidenceSequence = [_referenced(study.study_instance_uid, further)]
    if revision.replaces is not None:
        report.PredecessorDocumentsSequence = [_referenced(study.study_instance_uid, [_predecessor(study, revision)])]
    identity.copy_into(report, ascii_only=_is_ascii(study))
    return report


def build_regions(
    study: StudyResults, revision: Revision, identity: Identity, evidence: StudyEvidence, *, not_for_diagnosis: bool
) -> Dataset | None:
    """Build the document of regions, which viewers draw. Return None if there are no regions.

    The UID of the document is derived from the UID of the report.
    """
    explained = [
        (result, found)
        for result in study.results
        if (found := evidence.found.get((result.image_id, result.bundle.digest))) and found.regions
    ]
    if not explained:
        return None
    tree, small = region_report(explained), region_report(explained[:1])
    named = replace(revision, sop_instance_uid=stable_uid("regions", revision.sop_instance_uid))
    results = [result for result, _ in explained]
    document = _document("regions", small, tree, study, results, named, not_for_diagnosis=not_for_diagnosis)
    identity.copy_into(document, ascii_only=_is_ascii(study))
    return document


def file_bytes(instance: Dataset) -> bytes:
    """Encode an object as a DICOM file (PS3.10)."""
    buffer = io.BytesIO()
    instance.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def series_description(kind: str, *, not_for_diagnosis: bool) -> str:
    """Return the description of a series. Its beginning differs between the kinds, since viewers cut off the end."""
    if kind == "series":
        return NOT_FOR_DIAGNOSIS if not_for_diagnosis else _DESCRIPTION
    return f"AI {kind} - NOT FOR DIAGNOSIS" if not_for_diagnosis else f"AI {kind}"


def _document(
    kind: str,
    small: ContentSequence,
    tree: ContentSequence,
    study: StudyResults,
    results: Sequence[ReportableResult],
    revision: Revision,
    *,
    not_for_diagnosis: bool,
) -> Dataset:
    document = Comprehensive3DSR(
        evidence=list(_images(study, results)),
        content=small,
        series_instance_uid=own_series_uid(kind, study.study_instance_uid),
        series_number=_SERIES_NUMBERS[kind],
        sop_instance_uid=revision.sop_instance_uid,
        instance_number=revision.number,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        series_description=series_description(kind, not_for_diagnosis=not_for_diagnosis),
        is_complete=not study.without_result,
        coding_schemes=[coding_scheme()],
        transfer_syntax_uid=TRANSFER_SYNTAX,
    )
    document.ContentSequence = tree[0].ContentSequence
    document.ContributingEquipmentSequence = [*document.ContributingEquipmentSequence, *_algorithms(results)]
    _set_first_sop_class(document, results[0].sop_class_uid)
    _set_dates(document, revision.made_at)
    document.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    document.file_meta.ImplementationVersionName = MAKER.upper()
    return document


def _is_ascii(study: StudyResults) -> bool:
    return all(text.isascii() for text in free_texts(study))


def _images(study: StudyResults, results: Sequence[ReportableResult]) -> Iterator[Dataset]:
    """Yield one data set per image, with the elements that highdicom requires.

    highdicom copies patient and study from the first image. They are empty here; `Identity.copy_into` sets them later.
    """
    for number, (series_uid, sop_uid, sop_class_uid) in enumerate(_named_images(results)):
        image = Dataset()
        image.StudyInstanceUID = study.study_instance_uid
        image.SeriesInstanceUID = series_uid
        image.SOPInstanceUID = sop_uid
        image.SOPClassUID = sop_class_uid
        if number == 0:
            image.SOPClassUID = CTImageStorage  # highdicom fails for private classes; corrected after the build
            image.PatientID = image.PatientName = image.PatientBirthDate = image.PatientSex = ""
            image.StudyID = image.StudyDate = image.StudyTime = image.AccessionNumber = ""
        yield image


def _named_images(results: Sequence[ReportableResult]) -> Iterator[tuple[str, str, str]]:
    """Yield Series, SOP Instance and SOP Class UID of each image to which the groups refer."""
    for result in results:
        yield result.series_instance_uid, result.sop_instance_uid, result.sop_class_uid
        for image in result.series.images[1:] if result.series is not None else ():
            yield result.series_instance_uid, image.sop_instance_uid, image.sop_class_uid


def _algorithms(results: Sequence[ReportableResult]) -> Iterator[Dataset]:
    """Yield one item per bundle, as the profile IHE AI Results asks for (section 6.5.3.1)."""
    for bundle in dict.fromkeys(result.bundle for result in results):
        item = ContributingEquipment(
            manufacturer=MAKER,
            purpose_of_reference=codes.DCM.ProcessingEquipment,
            manufacturer_model_name=bundle.name,
            software_versions=bundle.version,
            contribution_description=f"bundle sha256:{bundle.digest}",
        )
        item.DeviceUID = device_uid(bundle)
        yield item


def _set_first_sop_class(report: Dataset, sop_class_uid: str) -> None:
    series = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPClassUID = sop_class_uid


def _predecessor(study: StudyResults, revision: Revision) -> Dataset:
    previous = Dataset()
    previous.SeriesInstanceUID = own_series_uid("series", study.study_instance_uid)
    previous.SOPInstanceUID, previous.SOPClassUID = revision.replaces, SOP_CLASS
    return previous


def _referenced(study_instance_uid: str, instances: Sequence[Dataset]) -> Dataset:
    """Return the references to instances of the study (PS3.3, table C.17-3)."""
    study = Dataset()
    study.StudyInstanceUID = study_instance_uid
    study.ReferencedSeriesSequence = []
    for uid in dict.fromkeys(instance.SeriesInstanceUID for instance in instances):
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ReferencedSOPSequence = [_reference(one) for one in instances if uid == one.SeriesInstanceUID]
        study.ReferencedSeriesSequence.append(series)
    return study


def _reference(instance: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = instance.SOPClassUID
    reference.ReferencedSOPInstanceUID = instance.SOPInstanceUID
    return reference


def _set_dates(report: Dataset, moment: datetime) -> None:
    """Replace the current time, which highdicom writes."""
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    report.InstanceCreationDate = report.ContentDate = report.SeriesDate = date
    report.InstanceCreationTime = report.ContentTime = report.SeriesTime = time
    for equipment in report.ContributingEquipmentSequence:
        equipment.ContributionDateTime = date + time
