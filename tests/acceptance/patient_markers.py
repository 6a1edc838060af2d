"""Make scans with marker words in every text about the patient, to find leaks of patient data."""

from dicom_files import modified_phantom
from pydicom import Dataset
from pydicom.datadict import dictionary_VR

PATIENT, PLACE, BORN = "ZEISIGVOGEL", "KANARIENVOGEL", "18990317"
_DEVICE = ("Manufacturer", "ManufacturerModelName", "StationName")


def marked_scans() -> dict[str, bytes]:
    """Return good and broken scans, which cause log lines of every kind."""
    good = modified_phantom(501, _write_patient_everywhere)
    return {
        "good.dcm": good,
        "other.dcm": modified_phantom(502, _write_patient_everywhere),
        "text.dcm": f"{PATIENT} {PLACE} {BORN}\n".encode(),
        "cut.dcm": good[:-2000],
        "pixels.dcm": modified_phantom(503, _break_pixels),
        "header.dcm": modified_phantom(504, _break_header).replace(b"11111.111111", PATIENT.ljust(12).encode()),
    }


def _write_patient_everywhere(dataset: Dataset) -> None:
    """Write the marker into every text element except UIDs, codes and the device, and add elements that phantoms lack.

    The database stores manufacturer, model and station (decisions 20 and 35 in docs/decisions).
    """
    absent = ("OtherPatientIDs", "PatientAddress", "PatientComments", "OperatorsName", "RequestingPhysician")
    for element in list(dataset):
        if element.VR in ("PN", "LO", "SH", "ST", "LT", "UT") and element.keyword not in _DEVICE:
            element.value = PATIENT
    for keyword in (*absent, "PatientMotherBirthName", "AdmissionID", "RequestedProcedureDescription"):
        assert dictionary_VR(keyword) in ("PN", "LO", "SH", "ST", "LT", "UT")
        setattr(dataset, keyword, PATIENT)
    dataset.PatientBirthDate, dataset.IssuerOfPatientID = BORN, ""


def _break_pixels(dataset: Dataset) -> None:
    _write_patient_everywhere(dataset)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"
    dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x10\0\0\0" + PATIENT.encode().ljust(16)
    dataset.PixelData += b"\xfe\xff\xdd\xe0\0\0\0\0"
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True


def _break_header(dataset: Dataset) -> None:
    _write_patient_everywhere(dataset)
    dataset.RescaleSlope = "11111.111111"
