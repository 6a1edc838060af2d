"""Which objects a study has for one destination, in which order they are sent, and what is said of the others."""

import io
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pydicom
import pytest
from dicom_files import phantom
from pydicom.dataset import Dataset
from report_destinations import cstore_settings
from test_delivery_report import PHANTOM, RESULT, REVISION, study

from db.queries import StudyResults
from delivery.evidence import Evidence, StudyEvidence
from delivery.explaining.explainer import StudyExplanation
from delivery.identity import read_identity
from delivery.reasons import DeliveryReason, NotDelivered
from delivery.report import Revision
from delivery.study_objects import StudyObjects

NORMAL = replace(RESULT, label="normal")
TRIANGLE = ((1.0, 1.0), (5.0, 1.0), (5.0, 5.0))
REPORT, PICTURE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"
EVIDENCE = StudyEvidence(
    found={(RESULT.image_id, RESULT.bundle.digest): Evidence(frame=None, regions=(TRIANGLE,))}, without={}
)
NO_OBJECT = "The study has no finding, and the destination gets no report."


def picture(number: int) -> bytes:
    """Return the file of a key image of the study."""
    instance = pydicom.dcmread(io.BytesIO(phantom(1)))
    instance.SOPClassUID = instance.file_meta.MediaStorageSOPClassUID = PICTURE
    instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = f"2.25.{number}"
    buffer = io.BytesIO()
    instance.save_as(buffer)
    return buffer.getvalue()


class Site:
    """A destination with an explainer; both note what they get, and answer as a test says."""

    def __init__(self, *objects: str, explanation: StudyExplanation | None = None, **answers: Any) -> None:
        """`answers` has an error or a warning for `report`, `regions` or a UID of a picture."""
        self.destination = cstore_settings(104, objects=objects, burned_in=True)
        self.explanation = explanation or StudyExplanation(evidence=EVIDENCE)
        self.answers = answers
        self.sent: list[str] = []
        self.last = Dataset()
        self.explained: list[tuple[Any, ...]] = []

    @property
    def objects(self) -> StudyObjects:
        """Return what sends the objects to this destination."""
        site: Any = self
        return StudyObjects(destination=self.destination, sender=site, explainer=site, not_for_diagnosis=True)

    def explain(self, of: StudyResults, revision: Revision, wanted: Iterable[str], *, burned_in: bool) -> Any:
        """Implement Explainer.explain."""
        self.explained.append((of, revision, list(wanted), burned_in))
        return self.explanation

    def send(self, instance: Dataset) -> str | None:
        """Implement ReportSender.send."""
        name = str(instance.SOPInstanceUID).replace("2.25.", "picture")
        if instance.SOPClassUID == REPORT:
            name = "report" if instance.SOPInstanceUID == REVISION.sop_instance_uid else "regions"
        self.sent.append(name)
        self.last = instance
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def deliver(self, *results: Any) -> str | None:
        """Send the objects of a study with these results."""
        uids = {"study_instance_uid": str(PHANTOM.StudyInstanceUID), "sop_instance_uid": str(PHANTOM.SOPInstanceUID)}
        return self.objects.send(study(*results), REVISION, read_identity(phantom(1), **uids))


@pytest.mark.parametrize(
    ("objects", "results", "needed"),
    [
        (("report",), (RESULT,), False),
        (("report", "regions"), (RESULT,), True),
        (("key_image",), (RESULT,), True),
        (("report", "regions"), (NORMAL,), False),
        (("report", "regions"), (NORMAL, RESULT), True),
        (("report",), (NORMAL,), False),
    ],
)
def test_findings_are_explained_for_other_objects_than_the_report(
    objects: tuple[str, ...], results: tuple[Any, ...], needed: bool
) -> None:
    """An image with the normal label has nothing to explain."""
    site = Site(*objects)
    assert site.objects.needs_explanation(study(*results)) is needed
    site.deliver(*results)
    assert len(site.explained) == needed


@pytest.mark.parametrize(
    ("objects", "wanted"),
    [
        (("report", "regions"), []),
        (("report", "key_image"), ["key_image"]),
        (("report", "regions", "key_image", "heat_map"), ["heat_map", "key_image"]),
    ],
)
def test_only_the_pictures_that_the_destination_gets_are_made(objects: tuple[str, ...], wanted: list[str]) -> None:
    """The explainer also learns whether pictures have burned-in text."""
    site = Site(*objects)
    site.deliver(RESULT)
    assert site.explained == [(study(RESULT), REVISION, wanted, True)]


def test_the_report_comes_last_and_names_what_was_stored() -> None:
    """Regions come first, then the pictures in their order."""
    pictures = StudyExplanation(evidence=EVIDENCE, objects=(picture(5), picture(6)))
    site = Site("report", "regions", "key_image", explanation=pictures)
    assert site.deliver(RESULT) is None
    assert site.sent == ["regions", "picture5", "picture6", "report"]
    (of_study,) = site.last.PertinentOtherEvidenceSequence
    named = [one.ReferencedSOPInstanceUID for one in of_study.ReferencedSeriesSequence[1].ReferencedSOPSequence]
    assert named == ["2.25.5", "2.25.6"]


def test_regions_are_sent_only_to_a_destination_that_gets_them() -> None:
    """The report still says where they are; without a region there is no document."""
    site = Site("report", "key_image")
    site.deliver(RESULT)
    assert site.sent == ["report"]
    nothing = Site("report", "regions", explanation=StudyExplanation())
    nothing.deliver(RESULT)
    assert nothing.sent == ["report"]


@pytest.mark.parametrize("objects", [("report", "regions"), ("regions",)])
def test_objects_and_report_say_that_they_are_not_for_diagnosis(objects: tuple[str, ...]) -> None:
    """Their series descriptions do."""
    site = Site(*objects)
    site.deliver(RESULT)
    assert site.last.SeriesDescription.endswith("NOT FOR DIAGNOSIS")


@pytest.mark.parametrize("reason", [DeliveryReason.NOT_SUPPORTED, DeliveryReason.NOT_UNDERSTOOD])
def test_an_object_that_is_refused_is_left_out(reason: DeliveryReason) -> None:
    """The report follows and does not name it; a sentence says so once for each kind."""
    pictures = StudyExplanation(objects=(picture(5), picture(6)), left_out=("No heat map.",))
    refused = NotDelivered(reason)
    site = Site("report", "key_image", explanation=pictures, picture5=refused, picture6=refused)
    assert site.deliver(RESULT) == "No heat map. Not accepted: Secondary Capture Image Storage."
    assert site.sent == ["picture5", "picture6", "report"]
    assert "PertinentOtherEvidenceSequence" not in site.last


@pytest.mark.parametrize("reason", [DeliveryReason.BUSY, DeliveryReason.UNREACHABLE])
def test_any_other_failure_ends_the_attempt(reason: DeliveryReason) -> None:
    """The next attempt sends everything again."""
    site = Site("report", "regions", regions=NotDelivered(reason))
    with pytest.raises(NotDelivered) as raised:
        site.deliver(RESULT)
    assert (raised.value.reason, site.sent) == (reason, ["regions"])


def test_warnings_are_returned_in_the_order_of_the_objects() -> None:
    """An equal warning is said once."""
    for warnings, said in ((("B000H", "B006H"), "B000H B006H"), (("B000H", "B000H"), "B000H"), ((None, None), None)):
        site = Site("report", "regions", regions=warnings[0], report=warnings[1])
        assert site.deliver(RESULT) == said


def test_a_destination_without_reports_that_refuses_everything_gets_nothing() -> None:
    """The delivery fails with the reason of the refusal; one accepted object is enough."""
    pictures = StudyExplanation(objects=(picture(5), picture(6)))
    refused = NotDelivered(DeliveryReason.NOT_SUPPORTED)
    site = Site("key_image", explanation=pictures, picture5=refused, picture6=refused)
    with pytest.raises(NotDelivered) as raised:
        site.deliver(RESULT)
    assert raised.value is refused
    one = Site("key_image", explanation=pictures, picture5=refused)
    assert one.deliver(RESULT) == "Not accepted: Secondary Capture Image Storage."
    assert one.sent == ["picture5", "picture6"]


def test_a_destination_without_reports_may_need_nothing() -> None:
    """A study without findings has no pictures, and the row of the delivery says why nothing was sent."""
    site = Site("key_image")
    assert (site.deliver(NORMAL), site.sent) == (NO_OBJECT, [])
    found = Site("key_image", explanation=StudyExplanation(objects=(picture(5),)))
    assert (found.deliver(RESULT), found.sent) == (None, ["picture5"])
