"""The document of regions, and what the report says of regions and of further objects."""

import io
from dataclasses import replace
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_files import phantom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from test_delivery_report import BUNDLE, PHANTOM, RESULT, REVISION, groups, study

from db.queries import StudyResults
from delivery.codes import label_code, probability_of
from delivery.evidence import NO_EVIDENCE, Evidence, NoRegions, StudyEvidence
from delivery.identity import read_identity
from delivery.report import Revision, build_regions, build_report, file_bytes
from nightread.label_codes import LabelCode
from nightread.uids import own_series_uid

TRIANGLE, SQUARE = ((10.5, 20.0), (30.0, 20.0), (30.0, 45.25)), ((1.0, 1.0), (5.0, 1.0), (5.0, 5.0), (1.0, 5.0))
CODED = replace(
    BUNDLE,
    labels=("normal", "nodule", "mass"),
    codes=(("nodule", (LabelCode(scheme="SCT", value="27925004", meaning="Nodule"),)),),
)
FOUND = replace(RESULT, bundle=CODED, scores=(0.0625, 0.875, 0.0625))
KEY = (FOUND.image_id, CODED.digest)


def evidence(*regions: Any, frame: int | None = None, **without: int) -> StudyEvidence:
    """Return the evidence for the image of FOUND; keywords count findings without a region."""
    missing = {NoRegions[name]: count for name, count in without.items()}
    return StudyEvidence(found={KEY: Evidence(frame=frame, regions=regions)}, without=missing)


def regions(of: StudyResults, found: StudyEvidence, revision: Revision = REVISION) -> Dataset | None:
    """Build the document of regions, and read it as a receiver does."""
    built = build_regions(of, revision, _identity(), found, not_for_diagnosis=True)
    return None if built is None else pydicom.dcmread(io.BytesIO(file_bytes(built)))


def test_a_region_is_a_closed_polyline_in_its_image() -> None:
    """Viewers draw it: graphic type, coordinates and image are those of TID 1410."""
    document = regions(study(FOUND), evidence(TRIANGLE, SQUARE))

    first, second = _planar_groups(document)
    assert first.roi.graphic_type.value == "POLYLINE"
    assert first.roi.value.tolist() == [list(point) for point in (*TRIANGLE, TRIANGLE[0])]
    assert len(second.roi.value) == 5
    source = first.roi.ContentSequence[0].ReferencedSOPSequence[0]
    assert (source.ReferencedSOPInstanceUID, source.ReferencedSOPClassUID) == (
        PHANTOM.SOPInstanceUID,
        PHANTOM.SOPClassUID,
    )
    assert "ReferencedFrameNumber" not in source
    assert (first.tracking_identifier, second.tracking_identifier) == ("image 1 region 1", "image 1 region 2")
    assert first.tracking_uid != second.tracking_uid


def test_the_name_of_the_measurement_is_what_viewers_write_beside_the_region() -> None:
    """OHIF writes name, value and unit; the finding has the standard code."""
    (group,) = _planar_groups(regions(study(FOUND), evidence(TRIANGLE)))

    (measured,) = group.get_measurements()
    assert (measured.name, measured.value, measured.unit) == (probability_of("nodule"), 87.5, codes.UCUM.Percent)
    assert (group.finding_type.value, group.finding_type.scheme_designator) == ("27925004", "SCT")
    assert group.method == codes.DCM.GradientWeightedClassActivation


def test_a_region_of_a_multi_frame_image_names_its_frame() -> None:
    """Frames are counted from 1."""
    (group,) = _planar_groups(regions(study(FOUND), evidence(TRIANGLE, frame=7)))
    assert group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 7


def test_images_without_a_region_are_not_in_the_document() -> None:
    """OHIF shows nothing of a document with a group that has no coordinates."""
    other = replace(FOUND, sop_instance_uid="1.2.3", image_id=2)
    document = regions(study(FOUND, other), evidence(TRIANGLE))

    assert len(_planar_groups(document)) == 1
    (series,) = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert [one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence] == [FOUND.sop_instance_uid]
    assert regions(study(other), evidence(TRIANGLE)) is None
    assert regions(study(FOUND), NO_EVIDENCE) is None


def test_the_document_has_a_series_of_its_own_and_a_uid_that_follows_from_the_report() -> None:
    """Another attempt sends the same document; a revision another one."""
    document = regions(study(FOUND), evidence(TRIANGLE))
    again = regions(study(FOUND), evidence(TRIANGLE))
    revised = regions(study(FOUND), evidence(TRIANGLE), replace(REVISION, sop_instance_uid="2.25.2", number=2))

    assert document == again
    assert document.SeriesInstanceUID == own_series_uid("regions", str(PHANTOM.StudyInstanceUID))
    assert document.SeriesDescription == "AI regions - NOT FOR DIAGNOSIS"
    assert document.SOPInstanceUID not in (REVISION.sop_instance_uid, revised.SOPInstanceUID)
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")


def test_every_label_has_its_score() -> None:
    """The reported label comes first; a modifier says of which label each probability is."""
    (group,) = groups(_report(study(FOUND)))

    scores = [
        (measured[0].ContentSequence[0].value.meaning, measured.value)
        for measured in group.get_measurements(codes.DCM.Probability)
    ]
    assert scores == [("Nodule", 0.875), ("normal", 0.0625), ("mass", 0.0625)]
    assert group.finding_type.EquivalentCodeSequence[0].CodeValue == label_code("nodule").value


def test_a_study_of_thousands_of_images_lists_all_scores_of_findings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each score costs a millisecond and half a kilobyte; the comment says that some are left out."""
    monkeypatch.setattr("delivery.tree._MOST_SCORES", 5)
    clear = replace(FOUND, label="normal", score=0.75, image_id=2, sop_instance_uid="1.2.3")
    report = _report(study(FOUND, clear))

    assert [len(group.get_measurements()) for group in groups(report)] == [3, 1]
    assert report.ContentSequence[-1].TextValue.endswith("list only the score of their label.")


def test_the_report_says_which_findings_have_no_region_and_why() -> None:
    """A reader must not take a missing region for a missing finding."""
    report = _report(study(FOUND), evidence(TRIANGLE, NOT_INSTALLED=1, NO_HEAT=2))

    assert report.ContentSequence[-1].TextValue.endswith(
        "Found: nodule (1). Regions are outlined for 1 of 4 findings: neither TensorFlow nor ONNX Runtime is installed "
        "on the host that made the report (1); no region is evidence for the label (2)."
    )
    assert "Regions" not in _report(study(FOUND)).ContentSequence[-1].TextValue


def test_the_report_names_the_objects_that_were_sent_before_it() -> None:
    """They are other evidence of the study (PS3.3, C.17.2)."""
    document = regions(study(FOUND), evidence(TRIANGLE))
    report = _report(study(FOUND), further=[document])

    (of_study,) = report.PertinentOtherEvidenceSequence
    (series,) = of_study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == document.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == document.SOPInstanceUID


def test_the_algorithm_is_contributing_equipment() -> None:
    """As IHE AI Results asks: maker, name, version and UID of the model."""
    (_, item) = _report(study(FOUND)).ContributingEquipmentSequence
    assert (item.Manufacturer, item.ManufacturerModelName, item.SoftwareVersions) == ("nightread", "phantom", "1.0")
    assert item.DeviceUID == "2.25.52457458169268490376049208182135580697"


@pytest.mark.parametrize("sop_class", ["1.2.276.99", "1.2.840.10008.5.1.4.1.1.2"])
def test_a_region_can_lie_in_an_image_of_any_class(sop_class: str) -> None:
    """Private classes too."""
    document = regions(study(replace(FOUND, sop_class_uid=sop_class)), evidence(TRIANGLE))
    (group,) = _planar_groups(document)
    assert group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID == sop_class
    assert np.isfinite(group.roi.value).all()


def _report(of: StudyResults, found: StudyEvidence = NO_EVIDENCE, **fields: Any) -> Dataset:
    built = build_report(of, REVISION, _identity(), found, not_for_diagnosis=True, **fields)
    return pydicom.dcmread(io.BytesIO(file_bytes(built)))


def _identity() -> Any:
    uids = {"study_instance_uid": str(PHANTOM.StudyInstanceUID), "sop_instance_uid": str(PHANTOM.SOPInstanceUID)}
    return read_identity(phantom(1), **uids)


def _planar_groups(document: Dataset | None) -> list[Any]:
    assert document is not None
    content = highdicom.sr.srread(io.BytesIO(file_bytes(document))).content
    return list(content.get_planar_roi_measurement_groups())
