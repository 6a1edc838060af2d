"""Reports for images of hospitals and vendors."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest
import skip_reasons
from skip_reasons import SHARED_DATA

from db.queries import JudgedBy, ReportableResult, StudyResults
from delivery.identity import read_identity
from delivery.report import Revision, build_report, file_bytes
from imaging.errors import RejectDicomImage
from imaging.own_results import is_own_result
from imaging.read import read

DATA = SHARED_DATA / "dicom"
BUNDLE = JudgedBy(name="phantom", version="1.0", digest="d" * 64, normal_label="normal")
REVISION = Revision(sop_instance_uid="2.25.1", replaces=None, number=1, made_at=datetime(2026, 11, 5, tzinfo=UTC))


@pytest.mark.filterwarnings("ignore")
def test_every_image_can_be_reported_on() -> None:
    """For any header, the report can be written and read again, and names the patient in the same words."""
    if not DATA.is_dir():
        pytest.skip(skip_reasons.NO_SHARED_DATA)
    assert sum(map(_is_reported, _files())) > 30


def _files() -> list[Path]:
    return sorted(path for path in DATA.rglob("*") if path.is_file() and path.suffix not in (".csv", ".md"))


def _is_reported(path: Path) -> bool:
    data = path.read_bytes()
    try:
        scan = read(data)
    except RejectDicomImage:
        return False
    facts = scan.facts
    if not (facts.sop_instance_uid and facts.sop_class_uid and facts.series_instance_uid and facts.study_instance_uid):
        return False
    assert scan.elements is None or not is_own_result(scan.elements)
    result = ReportableResult(
        image_id=1,
        sop_instance_uid=facts.sop_instance_uid,
        sop_class_uid=facts.sop_class_uid,
        series_instance_uid=facts.series_instance_uid,
        modality=facts.modality,
        label="nodule",
        score=0.5,
        frames=(),
        bundle=BUNDLE,
    )
    study = StudyResults(
        study_instance_uid=facts.study_instance_uid,
        results=(result,),
        images=1,
        without_result=0,
        nameless=0,
        patients=1,
    )
    identity = read_identity(data, study_instance_uid=facts.study_instance_uid, sop_instance_uid=facts.sop_instance_uid)
    report = pydicom.dcmread(io.BytesIO(file_bytes(build_report(study, REVISION, identity, not_for_diagnosis=True))))
    source = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyDate"):
        assert str(report.get(keyword) or "") == str(source.get(keyword) or ""), path.name
    return True
