"""Build the content of a report: TID 1500, Measurement Report, one group per image and bundle (DICOM PS3.16)."""

from collections.abc import Iterator, Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)

from db.queries import ReportableResult, ReportedBundle, StudyResults
from delivery import codes
from imaging.own_results import MAKER
from nightread import __version__
from nightread.plain_text import visible
from nightread.uids import stable_uid

NOT_FOR_DIAGNOSIS = "AI - NOT FOR DIAGNOSIS"
_MOST_FRAMES = 1000
"""If a result refers to more frames, its group refers to the whole image."""


def measurement_report(study: StudyResults, *, not_for_diagnosis: bool) -> MeasurementReport:
    """Build the content tree, with image-level groups as in the profile IHE AI Results."""
    report = MeasurementReport(
        observation_context=_observers(study),
        procedure_reported=list(codes.procedures(result.modality for result in study.results)),
        imaging_measurements=[_group(result) for result in study.results],
    )
    comment = TextContentItem(
        name=codes.COMMENT,
        value=_comment(study, not_for_diagnosis=not_for_diagnosis),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    report[0].ContentSequence.append(comment)
    return report


def device_uid(bundle: ReportedBundle) -> str:
    """Return the UID of the observer: the same for all results of one bundle."""
    return stable_uid("device", bundle.digest)


def _observers(study: StudyResults) -> ContentSequence:
    """Return one device per bundle (TID 1002). Another release of nightread with the same bundle is the same device."""
    context = ObservationContext()
    for bundle in dict.fromkeys(result.bundle for result in study.results):
        attributes = DeviceObserverIdentifyingAttributes(
            uid=device_uid(bundle),
            name=f"{bundle.name}@{bundle.version}",
            manufacturer_name=MAKER,
            model_name=f"{MAKER} {__version__}",
            serial_number=bundle.digest,
        )
        context.extend(ObserverContext(observer_type=codes.DEVICE, observer_identifying_attributes=attributes))
    return context


def _group(result: ReportableResult) -> MeasurementsAndQualitativeEvaluations:
    """Return the group of one image (TID 1501): label, score, bundle and frames."""
    bundle = result.bundle
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=stable_uid("tracking", result.sop_instance_uid, bundle.digest), identifier=f"image {result.image_id}"
        ),
        finding_type=codes.label_code(result.label) if result.label is not None else None,
        algorithm_id=AlgorithmIdentification(
            name=bundle.name,
            version=bundle.version,
            parameters=[f"bundle sha256:{bundle.digest}"],
            family=codes.ARTIFICIAL_INTELLIGENCE,
        ),
        measurements=list(_probability(result)),
        qualitative_evaluations=[_presence(result)],
        source_images=[
            SourceImageForMeasurementGroup(
                referenced_sop_class_uid=result.sop_class_uid,
                referenced_sop_instance_uid=result.sop_instance_uid,
                referenced_frame_numbers=list(result.frames) if 0 < len(result.frames) <= _MOST_FRAMES else None,
            )
        ],
    )


def _probability(result: ReportableResult) -> Iterator[Measurement]:
    """Yield the score of the label; nothing for an image without a label."""
    if result.label is not None:
        yield Measurement(name=codes.PROBABILITY, value=result.score, unit=codes.NO_UNITS)


def _presence(result: ReportableResult) -> QualitativeEvaluation:
    if result.label is not None and result.is_finding:
        return QualitativeEvaluation(name=codes.label_code(result.label), value=codes.PRESENT)
    return QualitativeEvaluation(name=codes.ANY_FINDING, value=codes.ABSENT)


def _comment(study: StudyResults, *, not_for_diagnosis: bool) -> str:
    """Return a summary of the study for the reader of the report."""
    images = study.images + study.nameless + study.without_result
    sentences = [f"{study.images} of {images} {'image' if images == 1 else 'images'} analysed."]
    if study.nameless:
        sentences.append(f"Analysed but without a UID, and so not listed: {study.nameless}.")
    found: dict[str, int] = {}
    for result in study.results:
        if result.label is not None and result.is_finding:
            found[result.label] = found.get(result.label, 0) + 1
    sentences.append(f"Found: {_counted(found)}." if found else "No findings.")
    if study.in_conflict:
        sentences.append(f"Listed although another source sent another version or rejects it: {study.in_conflict}.")
    if not_for_diagnosis:
        sentences.insert(0, f"{NOT_FOR_DIAGNOSIS}.")
    return " ".join(sentences)


def _counted(found: dict[str, int]) -> str:
    return ", ".join(f"{visible(label)} ({images})" for label, images in sorted(found.items(), key=_by_count))


def _by_count(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def free_texts(study: StudyResults) -> Sequence[str]:
    """Return all variable texts of the tree. If all are ASCII, the report keeps the character set of the source."""
    return [result.label for result in study.results if result.label is not None]
