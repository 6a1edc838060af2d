"""The content of a report: TID 1500, Measurement Report, one group per image and bundle (DICOM PS3.16)."""

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
from delivery.uids import stable_uid
from imaging.own_results import MAKER
from nightread import __version__

NOT_FOR_DIAGNOSIS = "AI - NOT FOR DIAGNOSIS"
_MOST_FRAMES = 1000
"""A reference to more of them is one to the whole image."""


def measurement_report(study: StudyResults, *, not_for_diagnosis: bool) -> MeasurementReport:
    """The tree below its root; image-level groups as IHE AI Results has them."""
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
    """Of the observer: the same for all that one bundle ever says."""
    return stable_uid("device", bundle.digest)


def _observers(study: StudyResults) -> ContentSequence:
    """One device per bundle (TID 1002): the same network in another release of nightread is the same observer."""
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
    """TID 1501 of one image: what was found, how sure that is, by what, in which frames."""
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
    """Of the label; an image without one has none."""
    if result.label is not None:
        yield Measurement(name=codes.PROBABILITY, value=result.score, unit=codes.NO_UNITS)


def _presence(result: ReportableResult) -> QualitativeEvaluation:
    if result.label is not None and result.is_finding:
        return QualitativeEvaluation(name=codes.label_code(result.label), value=codes.PRESENT)
    return QualitativeEvaluation(name=codes.ANY_FINDING, value=codes.ABSENT)


def _comment(study: StudyResults, *, not_for_diagnosis: bool) -> str:
    """What a person should read first."""
    images = study.images + study.nameless + study.without_result
    sentences = [f"{study.images} of {images} images analysed."]
    if study.nameless:
        sentences.append(f"{study.nameless} have a result and no UID to refer to.")
    found: dict[str, int] = {}
    for result in study.results:
        if result.label is not None and result.is_finding:
            found[result.label] = found.get(result.label, 0) + 1
    sentences.append(f"Found: {_counted(found)}." if found else "Nothing was found.")
    if not_for_diagnosis:
        sentences.insert(0, f"{NOT_FOR_DIAGNOSIS}.")
    return " ".join(sentences)


def _counted(found: dict[str, int]) -> str:
    return ", ".join(f"{label} ({images})" for label, images in sorted(found.items(), key=_by_count))


def _by_count(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def texts_of(study: StudyResults) -> Sequence[str]:
    """All texts in the tree that somebody else chose: whether they are ASCII decides on the character set."""
    return [result.label for result in study.results if result.label is not None]
