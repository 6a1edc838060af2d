"""What a report names of series and bundles: the evidence of a stack, and the equipment that made the result."""

from dataclasses import replace
from typing import Any

import pytest
from pydicom.dataset import Dataset
from test_delivery_document import STUDY, built, result

from db.queries import ReportedBundle, ReportedSeries
from db.queries.reportable_series import SpeakingImage

CT = "1.2.840.10008.5.1.4.1.1.2"


def of_stack(*uids: str, **fields: Any) -> Any:
    """Return the result of a stack whose evidence is these images; the first is the strongest."""
    images = tuple(SpeakingImage(uid, CT, ()) for uid in uids)
    stack = ReportedSeries(series_id=7, stack=2, slices=3, of_slices=4, partial=False, images=images)
    return replace(result(1), sop_instance_uid=uids[0], sop_class_uid=CT, series=stack, **fields)


def evidence(report: Dataset) -> list[tuple[str, str, str]]:
    """Return series, instance and class of each image of the Current Requested Procedure Evidence Sequence."""
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == STUDY
    return [
        (series.SeriesInstanceUID, one.ReferencedSOPInstanceUID, one.ReferencedSOPClassUID)
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]


@pytest.mark.parametrize("uids", [("1.5.8",), ("1.5.8", "1.5.9"), ("1.5.8", "1.5.9", "1.5.3")])
def test_each_image_of_a_stack_is_evidence_once(uids: tuple[str, ...]) -> None:
    """PS3.3, table C.17-2: every referenced instance is listed, and none that the tree does not refer to."""
    assert sorted(evidence(built(of_stack(*uids)))) == sorted(("1.4", uid, CT) for uid in uids)


def test_the_equipment_has_the_whole_digest() -> None:
    """ContributionDescription (0018,A003) is a Short Text of up to 1024 characters (PS3.6)."""
    (_, item) = built(result(1)).ContributingEquipmentSequence
    assert item.ContributionDescription == f"bundle sha256:{'d' * 64}"
    (purpose,) = item.PurposeOfReferenceCodeSequence
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("109102", "DCM")


def test_each_bundle_is_one_equipment() -> None:
    """Results of one bundle share it; the first item is nightread's own."""
    other = ReportedBundle(name="other", version="2.0", digest="e" * 64, normal_label="normal")
    report = built(result(1), result(2), replace(result(3), bundle=other))
    found = [(one.ManufacturerModelName, one.SoftwareVersions) for one in report.ContributingEquipmentSequence[1:]]
    assert found == [("phantom", "1.0"), ("other", "2.0")]
