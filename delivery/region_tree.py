"""Build the content of a document of regions: TID 1500 with one planar region per group, TID 1410 (DICOM PS3.16).

Regions have a document of their own: OHIF shows nothing of a document in which any group has no coordinates, and most
images have no region (docs/decisions/0022-regions-in-the-pacs.md).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom.sr import (
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementReport,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    SourceImageForRegion,
)
from pydicom.uid import CTImageStorage

from db.queries import ReportableResult
from delivery import codes
from delivery.evidence import Evidence, Point
from delivery.template_items import algorithm, observers, tracking

Explained = tuple[ReportableResult, Evidence]
"""A result with its evidence, which has at least one region."""


def region_report(explained: Sequence[Explained]) -> MeasurementReport:
    """Build the content tree. Raises ValueError if `explained` is empty."""
    results = [result for result, _ in explained]
    return MeasurementReport(
        observation_context=observers(results),
        procedure_reported=list(codes.procedures(result.modality for result in results)),
        imaging_measurements=[group for result, evidence in explained for group in _groups(result, evidence)],
    )


def _groups(result: ReportableResult, evidence: Evidence) -> Iterator[PlanarROIMeasurementsAndQualitativeEvaluations]:
    label = result.label or ""
    for number, corners in enumerate(evidence.regions, start=1):
        yield PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking(result, f"image {result.image_id} region {number}", str(number)),
            referenced_region=_region(result, corners, evidence.frame),
            finding_type=codes.label_concept(result.bundle, label),
            method=codes.GRAD_CAM,
            algorithm_id=algorithm(result.bundle),
            # Viewers write the name of the measurement beside the region, and not the finding.
            measurements=[Measurement(codes.probability_of(label), 100 * result.score, codes.PERCENT)],
        )


def _region(result: ReportableResult, corners: Sequence[Point], frame: int | None) -> ImageRegion:
    """Return a closed polyline in pixels of the image (PS3.3, C.18.6)."""
    source = SourceImageForRegion(
        referenced_sop_class_uid=CTImageStorage,  # highdicom fails for private classes; corrected below
        referenced_sop_instance_uid=result.sop_instance_uid,
        referenced_frame_numbers=None if frame is None else [frame],
    )
    region = ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=np.array([*corners, corners[0]], np.float32),
        source_image=source,
    )
    region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = result.sop_class_uid
    return region
