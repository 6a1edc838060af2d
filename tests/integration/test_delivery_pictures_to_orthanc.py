"""Everything that nightread sends is stored by a real Orthanc, valid by dciodvfy, and outlines the lesions."""

import io
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
import skip_reasons
from analysed_studies import AnalysedStudies, states
from dicom_peers import Orthanc, private_orthanc
from ledger_driver import LedgerDriver
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from db import ledger
from models.catalogue import find_bundle
from models.phantoms.dicom import PhantomStyle, PhantomTruth, phantom_file
from nightread.sources import StoreDestination

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,  # Keras is loaded in a process of its own
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]
BUNDLE = find_bundle("phantom")
STYLE = PhantomStyle(size=256, bits=12, syntax="explicit", monochrome1=False, nodule_share=1.0)
KINDS = {
    "1.2.840.10008.5.1.4.1.1.88.34": 2,  # the report and the regions
    "1.2.840.10008.5.1.4.1.1.7": 1,
    "1.2.840.10008.5.1.4.1.1.30": 1,
}


def test_regions_key_image_and_heat_map_of_a_slice(ledger_driver: LedgerDriver, tmp_path: Path) -> None:
    """Each object is stored and valid, the outlines enclose the lesions, and the heat is highest inside of them."""
    studies, truth = analysed(ledger_driver, tmp_path)
    with private_orthanc(tmp_path / "orthanc") as orthanc:
        destination = StoreDestination(
            name="pacs",
            ae_title=orthanc.ae_title,
            address="127.0.0.1",
            port=orthanc.dicom_port,
            objects=("report", "regions", "heat_map", "key_image"),
        )
        assert states(studies.send(destination)) == [("delivered", None)]
        files = stored(orthanc)
        orthanc.process.kill()  # it takes seconds to end by itself

    objects = [pydicom.dcmread(io.BytesIO(file)) for file in files]
    assert {uid: sum(one.SOPClassUID == uid for one in objects) for uid in KINDS} == KINDS
    by_series = {one.SeriesDescription.split(" - ")[0]: one for one in objects}
    inside = enclosed(by_series["AI regions"], size=STYLE.size)
    for lesion in truth.lesions:
        assert inside[round(lesion.row), round(lesion.column)]
    heat = np.frombuffer(by_series["AI heat maps"].FloatPixelData, np.float32).reshape(inside.shape)
    assert inside[np.unravel_index(heat.argmax(), heat.shape)]
    assert inside.mean() < 0.2
    for file in files:
        assert_valid(file, tmp_path)


def analysed(ledger_driver: LedgerDriver, folder: Path) -> tuple[AnalysedStudies, PhantomTruth]:
    """Register a slice with a finding of the shipped bundle."""
    bundle_id = ledger.register_bundle(
        ledger_driver.database,
        name=BUNDLE.name,
        version=BUNDLE.version,
        digest=BUNDLE.digest,
        labels=BUNDLE.labels,
        normal_label="clear",
        codes=BUNDLE.codes,
        now=ledger_driver.clock(),
    )
    studies = AnalysedStudies(ledger_driver=ledger_driver, folder=folder, bundle_id=bundle_id)
    content, truth = phantom_file(seed=3, index=0, style=STYLE)
    (studies.inbox / "1.dcm").write_bytes(as_slice(content))
    studies.register(studies.inbox / "1.dcm")
    studies.analyse(label="nodule", score=0.99, scores=[0.01, 0.99])
    return studies, truth


def as_slice(film: bytes) -> bytes:
    """Return the film as a CT slice, which has a position in a frame of reference."""
    dataset = pydicom.dcmread(io.BytesIO(film))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.Modality, dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = "CT", "2.25.776", ""
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-90, -90, 0], [1, 0, 0, 0, 1, 0]
    dataset.SliceThickness = 5
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def stored(orthanc: Orthanc) -> list[bytes]:
    """Return the files of all instances that Orthanc has stored."""
    return [
        orthanc.session.get(f"{orthanc.url}/instances/{number}/file", timeout=10).content
        for number in orthanc.get("/instances")
    ]


def enclosed(document: Dataset, *, size: int) -> np.ndarray:
    """Return the pixels inside of the outlines of a document of regions."""
    inside = np.zeros((size, size), np.uint8)
    measurements = document.ContentSequence[-1]
    for group in measurements.ContentSequence:
        (region,) = [item for item in group.ContentSequence if item.ValueType == "SCOORD"]
        corners = np.array(region.GraphicData).reshape(-1, 2)
        cv2.fillPoly(inside, [np.rint(corners - 0.5).astype(np.int32)], 1)
    return inside.astype(bool)


def assert_valid(file: bytes, folder: Path) -> None:
    """Require that dciodvfy of dicom3tools finds no error, if it is installed."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip(skip_reasons.DICOM3TOOLS)
    path = folder / "object.dcm"
    path.write_bytes(file)
    checked = subprocess.run([program, "-new", path], capture_output=True, text=True, errors="replace", check=False)
    lines = (checked.stdout + checked.stderr).splitlines()
    assert [line for line in lines if line.startswith("Error")] == []
    assert len(lines) > 0
