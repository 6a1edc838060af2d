"""Build the content of a report: TID 1500, Measurement Report, one group per image and bundle (DICOM PS3.16)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from highdicom.sr import (
    CodeContentItem,
    ContentSequence,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
)

from db.queries import ReportableResult, ReportedBundle, SpeakingImage, StudyResults
from delivery import codes
from delivery.evidence import NO_EVIDENCE, StudyEvidence
from delivery.template_items import algorithm, observers, tracking
from nightread.plain_text import visible

NOT_FOR_DIAGNOSIS = "AI - NOT FOR DIAGNOSIS"
_MOST_SCORES = 10_000
"""If a study has more scores than this, images without a finding list only one score each: a score takes 1 ms."""
_MOST_FRAMES = 1000
"""If a result refers to more frames than this, the report refers to the whole image and does not list frames."""
_MOST_COVERAGES = 50


def measurement_report(
    study: StudyResults, evidence: StudyEvidence = NO_EVIDENCE, *, not_for_diagnosis: bool
) -> MeasurementReport:
    """Build the content tree, with image-level groups as in the profile IHE AI Results."""
    all_scores = _lists_all_scores(study)
    report = MeasurementReport(
        observation_context=observers(study.results),
        procedure_reported=list(codes.procedures(result.modality for result in study.results)),
        imaging_measurements=[_group(result, all_scores=result.is_finding or all_scores) for result in study.results],
    )
    comment = TextContentItem(
        name=codes.COMMENT,
        value=_comment(study, evidence, not_for_diagnosis=not_for_diagnosis),
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    report[0].ContentSequence.append(comment)
    return report


def _lists_all_scores(study: StudyResults) -> bool:
    return sum(len(result.scores) for result in study.results) <= _MOST_SCORES


def _group(result: ReportableResult, *, all_scores: bool) -> MeasurementsAndQualitativeEvaluations:
    """Return the group of one image or stack of slices (TID 1501): label, scores, bundle and images."""
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking(result, _identifier(result)),
        finding_type=codes.label_concept(result.bundle, result.label) if result.label is not None else None,
        algorithm_id=algorithm(result.bundle),
        measurements=list(_scores(result, all_scores=all_scores)),
        qualitative_evaluations=[_presence(result)],
        source_images=[_source_image(image) for image in _images(result)],
    )


def _identifier(result: ReportableResult) -> str:
    if result.series is None:
        return f"image {result.image_id}"
    return f"series {result.series.series_id} stack {result.series.stack}"


def _images(result: ReportableResult) -> Sequence[SpeakingImage]:
    if result.series is not None:
        return result.series.images
    return [SpeakingImage(result.sop_instance_uid, result.sop_class_uid, result.frames)]


def _source_image(image: SpeakingImage) -> SourceImageForMeasurementGroup:
    return SourceImageForMeasurementGroup(
        referenced_sop_class_uid=image.sop_class_uid,
        referenced_sop_instance_uid=image.sop_instance_uid,
        referenced_frame_numbers=list(image.frames) if 0 < len(image.frames) <= _MOST_FRAMES else None,
    )


def _scores(result: ReportableResult, *, all_scores: bool) -> Iterator[Measurement]:
    """Yield the score of the label, and with `all_scores` the scores of the other labels of the bundle."""
    if result.label is not None:
        yield _score(result.bundle, result.label, result.score)
    for label, score in zip(result.bundle.labels, result.scores, strict=False):
        if all_scores and label != result.label:
            yield _score(result.bundle, label, score)


def _score(bundle: ReportedBundle, label: str, score: float) -> Measurement:
    """Return a probability. Its concept modifier (TID 300) names the label."""
    measurement = Measurement(name=codes.PROBABILITY, value=score, unit=codes.NO_UNITS)
    measurement[0].ContentSequence = _modifier(bundle, label)
    return measurement


@lru_cache(maxsize=1024)
def _modifier(bundle: ReportedBundle, label: str) -> ContentSequence:
    """Return the modifier that all scores of a label share, since building it takes longer than building a score."""
    of_label = CodeContentItem(
        name=codes.FINDING,
        value=codes.label_concept(bundle, label),
        relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    return ContentSequence([of_label], is_sr=True)


def _presence(result: ReportableResult) -> QualitativeEvaluation:
    if result.label is not None and result.is_finding:
        return QualitativeEvaluation(name=codes.label_concept(result.bundle, result.label), value=codes.PRESENT)
    return QualitativeEvaluation(name=codes.ANY_FINDING, value=codes.ABSENT)


def _comment(study: StudyResults, evidence: StudyEvidence, *, not_for_diagnosis: bool) -> str:
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
    sentences.extend(_of_series(study))
    sentences.extend(_of_regions(evidence))
    if not _lists_all_scores(study):
        sentences.append("Results without a finding list only the score of their label.")
    if study.in_conflict:
        sentences.append(
            f"Listed images that another source rejects or has sent in another version: {study.in_conflict}."
        )
    if not_for_diagnosis:
        sentences.insert(0, f"{NOT_FOR_DIAGNOSIS}.")
    return " ".join(sentences)


def _of_series(study: StudyResults) -> Iterator[str]:
    """Yield the coverage of each stack, and the number of stacks without a result."""
    found = [result.series for result in study.results if result.series is not None]
    for each in found[:_MOST_COVERAGES]:
        partial = ", partial" if each.partial else ""
        yield f"Series {each.series_id} stack {each.stack}: {each.slices} of {each.of_slices} slices{partial}."
    if study.series_without_result:
        yield f"Series or stacks without a result: {study.series_without_result}."


def _of_regions(evidence: StudyEvidence) -> Iterator[str]:
    """Yield a sentence if findings have no region. A finding is one label of one image."""
    without = sum(evidence.without.values())
    if without:
        reasons = "; ".join(f"{reason} ({count})" for reason, count in sorted(evidence.without.items()))
        yield f"Regions are outlined for {len(evidence.found)} of {len(evidence.found) + without} findings: {reasons}."


def _counted(found: dict[str, int]) -> str:
    return ", ".join(f"{visible(label)} ({images})" for label, images in sorted(found.items(), key=_by_count))


def _by_count(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def free_texts(study: StudyResults) -> Sequence[str]:
    """Return all variable texts of the tree. If all are ASCII, the report keeps the character set of the source."""
    labels = dict.fromkeys(result.label for result in study.results if result.label is not None)
    bundles = dict.fromkeys(result.bundle for result in study.results)
    meanings = (code.meaning for bundle in bundles for _, of_label in bundle.codes for code in of_label)
    return [*labels, *(label for bundle in bundles for label in bundle.labels), *meanings]
