"""Set the elements that all DICOM images made by nightread have in common: times, equipment, source image."""

from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from db.queries import ReportableResult, ReportedBundle
from delivery.codes import coded
from delivery.template_items import device_uid
from imaging.own_results import MAKER
from nightread import __version__
from nightread.implementation import IMPLEMENTATION_CLASS_UID


def set_equipment(picture: Dataset, bundle: ReportedBundle, moment: datetime) -> None:
    """Set maker and times, and name the bundle as contributing equipment."""
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    picture.InstanceCreationDate = picture.ContentDate = picture.SeriesDate = date
    picture.InstanceCreationTime = picture.ContentTime = picture.SeriesTime = time
    picture.Manufacturer = picture.ManufacturerModelName = MAKER
    picture.SoftwareVersions = __version__
    item = Dataset()
    item.Manufacturer, item.ManufacturerModelName = MAKER, bundle.name
    item.SoftwareVersions, item.DeviceUID = bundle.version, device_uid(bundle)
    item.ContributionDateTime = date + time
    item.PurposeOfReferenceCodeSequence = [coded(codes.DCM.ProcessingEquipment)]
    picture.ContributingEquipmentSequence = [*picture.get("ContributingEquipmentSequence", ()), item]


def set_laterality(picture: Dataset, header: Dataset) -> None:
    """Copy the laterality of the source, or set an empty value if it has none (PS3.3, C.7.3.1 and C.7.6.1)."""
    laterality = header.get("ImageLaterality") or header.get("Laterality") or ""
    picture.Laterality = str(laterality) if laterality in ("L", "R") else None


def source_image(result: ReportableResult, frame: int | None) -> Dataset:
    """Return the reference to the image, or to one of its frames (PS3.3, table 10-3)."""
    source = Dataset()
    source.ReferencedSOPClassUID = result.sop_class_uid
    source.ReferencedSOPInstanceUID = result.sop_instance_uid
    if frame is not None:
        source.ReferencedFrameNumber = frame
    purpose: Code = codes.DCM.SourceImageForImageProcessingOperation
    source.PurposeOfReferenceCodeSequence = [coded(purpose)]
    return source


def file_meta(picture: Dataset) -> FileMetaDataset:
    """Return the file meta information of an uncompressed picture."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = picture.SOPClassUID
    meta.MediaStorageSOPInstanceUID = picture.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = MAKER.upper()
    return meta
