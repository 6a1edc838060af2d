"""Build a key image: a Secondary Capture of one frame with its regions (DICOM PS3.3, A.8.1)."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from delivery.evidence import Evidence
from delivery.explaining.derived_object import file_meta, set_equipment, set_laterality, source_image
from delivery.explaining.drawing import draw
from delivery.explaining.messages import KEY_IMAGE, ExplainRequest
from delivery.explaining.names_in_pixels import may_show_names
from delivery.identity import Identity
from delivery.report import file_bytes, series_description
from imaging.dicom_image import Frame
from nightread.uids import own_series_uid

_SERIES_NUMBER = 9903
_STAMP, _PLAIN_STAMP = "AI - NOT FOR DIAGNOSIS", "AI result"
_NOT_OUTLINED = "no region was computed"


def key_image(
    request: ExplainRequest, frame: Frame, number: int | None, evidence: Evidence | None, header: Dataset
) -> bytes:
    """Return the file of a key image of one frame. `number` counts frames from 1; None if there is only one frame."""
    result, bundle = request.result, request.result.bundle
    where = "" if number is None else f"  frame {number}"
    found = f"{result.label} {100 * result.score:.1f} %{where}  model {bundle.name}@{bundle.version}"
    outlined = _NOT_OUTLINED
    if evidence and evidence.regions:
        outlined = f"outlined: evidence for this finding ({evidence.method})"
    stamp = _STAMP if request.not_for_diagnosis else _PLAIN_STAMP
    pixels = draw(frame, evidence, stamp=stamp, lines=(found, outlined))
    picture = Dataset()
    picture.SOPClassUID = SecondaryCaptureImageStorage
    picture.SOPInstanceUID = request.uids[KEY_IMAGE]
    picture.ImageType = ["DERIVED", "SECONDARY"]
    picture.Modality, picture.ConversionType = "OT", "WSD"
    picture.StudyInstanceUID = request.study_instance_uid
    picture.SeriesInstanceUID = own_series_uid("key images", request.study_instance_uid)
    picture.SeriesNumber, picture.InstanceNumber = _SERIES_NUMBER, request.number
    picture.SeriesDescription = series_description("key images", not_for_diagnosis=request.not_for_diagnosis)
    picture.PatientOrientation = None
    set_laterality(picture, header)
    picture.DerivationDescription = f"{stamp}: one frame with window and level applied, outlines and text added"
    picture.SourceImageSequence = [source_image(result, number)]
    picture.BurnedInAnnotation = "YES" if may_show_names(header) else "NO"
    _set_pixels(picture, pixels)
    _copy_compression(picture, header)
    set_equipment(picture, bundle, request.made_at)
    picture.file_meta = file_meta(picture)
    Identity(header=header).copy_into(picture, ascii_only=True)
    return file_bytes(picture)


def _set_pixels(picture: Dataset, pixels: np.ndarray) -> None:
    picture.SamplesPerPixel, picture.PhotometricInterpretation, picture.PlanarConfiguration = 3, "RGB", 0
    picture.Rows, picture.Columns = pixels.shape[:2]
    picture.BitsAllocated = picture.BitsStored = 8
    picture.HighBit, picture.PixelRepresentation = 7, 0
    data = pixels.tobytes()
    picture.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))


def _copy_compression(picture: Dataset, header: Dataset) -> None:
    """Copy the elements that say whether the source was compressed with a loss (PS3.3, C.7.6.1.1.5)."""
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if keyword in header:
            picture[keyword] = header[keyword]
