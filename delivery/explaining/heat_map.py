"""Build a heat map as a Parametric Map (DICOM PS3.3, A.75) with highdicom."""

import numpy as np
from highdicom import VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from delivery.explaining.derived_object import file_meta, set_equipment
from delivery.explaining.messages import HEAT_MAP, ExplainRequest
from delivery.identity import Identity
from delivery.report import file_bytes, series_description
from imaging.own_results import MAKER
from models.explanations.grad_cam import METHOD
from nightread import __version__
from nightread.uids import own_series_uid

_SERIES_NUMBER = 9902
_POSITION = (
    *("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
)
_BODY_STRUCTURE = CodedConcept("123037004", "SCT", "Body structure")
NO_POSITION = "No heat map: the image has no position in a frame of reference, which a parametric map needs."


def has_position(header: Dataset) -> bool:
    """Return whether the header has the position of a single slice; projections such as DX have no position."""
    return all(header.get(keyword) for keyword in _POSITION) and "NumberOfFrames" not in header


def heat_map(request: ExplainRequest, heat: NDArray[np.float32], header: Dataset, *, method: str = METHOD) -> bytes:
    """Return the file of a parametric map of `heat`, (rows, columns) float32 in 0..1; 0.5 is the threshold.

    The values have no unit. Their quantity is class activation by gradients (130403, DCM), or saliency (130404, DCM)
    if `method` is not Grad-CAM but occlusion.
    """
    by_gradients = method == METHOD
    bundle = request.result.bundle
    mapping = RealWorldValueMapping(
        lut_label="EVIDENCE",
        lut_explanation=f"Evidence for {request.result.label}: 0.5 is the threshold"[:64],
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=codes.DCM.GradientWeightedClassActivation if by_gradients else codes.DCM.Saliency,
    )
    picture = ParametricMap(
        [header],
        heat,
        series_instance_uid=own_series_uid("heat maps", request.study_instance_uid),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=request.uids[HEAT_MAP],
        instance_number=request.number,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number=bundle.digest,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[VOILUTTransformation(window_center=0.5, window_width=1.0)],
        content_label="EVIDENCE",
        content_description="Gradient-weighted class activation" if by_gradients else "Occlusion sensitivity",
        series_description=series_description("heat maps", not_for_diagnosis=request.not_for_diagnosis),
    )
    picture.ContentCreatorName = None
    picture.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_anatomy(header)]
    set_equipment(picture, bundle, request.made_at)
    picture.file_meta = file_meta(picture)
    Identity(header=header).copy_into(picture, ascii_only=True)
    content = file_bytes(picture)
    _close_database(picture)
    return content


def _close_database(picture: ParametricMap) -> None:
    """Close highdicom's table of the frames, a database in memory that highdicom never closes."""
    database = vars(picture).get("_db_con")
    if database is not None:
        database.close()


def _anatomy(header: Dataset) -> Dataset:
    """Return the anatomy of the frame (PS3.3, C.7.6.16.2.8), copied from the source, or else "Body structure"."""
    anatomy = Dataset()
    laterality = str(header.get("ImageLaterality") or header.get("Laterality") or "")
    anatomy.FrameLaterality = laterality if laterality in ("L", "R", "B") else "U"
    anatomy.AnatomicRegionSequence = header.get("AnatomicRegionSequence") or [_BODY_STRUCTURE]
    return anatomy
