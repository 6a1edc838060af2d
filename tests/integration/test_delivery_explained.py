"""Findings are explained before the report is sent, on hosts that can do it; on others the report says so."""

from pathlib import Path
from typing import Any

import pytest
from analysed_studies import STUDY, AnalysedStudies, states
from fake_destination import FakeSender
from ledger_driver import LedgerDriver
from pydicom.dataset import Dataset, FileDataset
from report_destinations import cstore_settings

from db import ledger, queries
from db.ledger import FramePrediction
from delivery.content import content_digest
from delivery.evidence import Evidence, NoRegions
from delivery.explaining.explainer import MOST_SECONDS, Explainer
from delivery.explaining.messages import Explained, ExplainRequest
from delivery.reasons import DeliveryReason, NotDelivered
from delivery.report_delivery import DeliveryResult, ReportDelivery
from models.catalogue import find_bundle
from nightread.label_codes import LabelCode
from nightread.piped_process import PipedProcess
from nightread.uids import own_series_uid

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
PHANTOM = find_bundle("phantom")
REGION = ((1.0, 1.0), (5.0, 1.0), (5.0, 5.0))
NOT_SUPPORTED = NotDelivered(DeliveryReason.NOT_SUPPORTED)
SR, PICTURE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.7"


def register_phantom(ledger_driver: LedgerDriver, **changes: Any) -> int:
    """Register the shipped bundle; keywords replace values."""
    known: dict[str, Any] = {"name": PHANTOM.name, "version": PHANTOM.version, "digest": PHANTOM.digest}
    values = known | {"labels": PHANTOM.labels, "normal_label": "clear", "now": ledger_driver.clock()} | changes
    return ledger.register_bundle(ledger_driver.database, **values)


@pytest.fixture
def studies(ledger_driver: LedgerDriver, tmp_path: Path) -> AnalysedStudies:
    """A database whose results are of the shipped bundle, which every host has."""
    bundle_id = register_phantom(ledger_driver, codes=PHANTOM.codes)
    return AnalysedStudies(ledger_driver=ledger_driver, folder=tmp_path, bundle_id=bundle_id)


class FakeExplainer(Explainer):
    """Answers as a test says, without a process."""

    asked: list[ExplainRequest]

    def answer_with(self, answer: Explained, seconds: float = 0.0) -> "FakeExplainer":
        """Set the answer, and the time that each takes."""
        self.asked, self._answer, self._seconds, self._now = [], answer, seconds, 0.0
        self._clock = lambda: self._now
        return self

    def _ask(self, request: ExplainRequest) -> Explained:
        self.asked.append(request)
        self._now += self._seconds
        return self._answer


@pytest.fixture
def explainer(studies: AnalysedStudies) -> FakeExplainer:
    """An explainer that finds one region in every image."""
    found = Explained(evidence=Evidence(frame=None, regions=(REGION,)))
    return FakeExplainer(studies.settings, studies.ledger_driver.database).answer_with(found)


def deliver(studies: AnalysedStudies, explainer: Explainer, sender: FakeSender, *objects: str) -> DeliveryResult | None:
    """Deliver the study to a destination that gets these objects."""
    driver = studies.ledger_driver
    destination = cstore_settings(1, **({"objects": objects} if objects else {}))
    delivery = ReportDelivery(
        studies.settings, driver.database, destination, sender, explainer=explainer, clock=driver.clock
    )
    return delivery.deliver(STUDY, again=False)


def comment(report: Dataset) -> str:
    """Return the comment of a report."""
    return str(report.ContentSequence[-1].TextValue)


def test_regions_are_sent_before_the_report_that_names_them(studies: AnalysedStudies, explainer: FakeExplainer) -> None:
    """Only findings are explained, each with its own file and the frame that the database knows."""
    studies.add_study()
    studies.add_study(label="clear", score=0.9)
    sender = FakeSender()

    deliver(studies, explainer, sender)

    regions, report = sender.reports
    assert [one.SeriesInstanceUID for one in sender.reports] == [
        own_series_uid(kind, STUDY) for kind in ("regions", "series")
    ]
    named = report.PertinentOtherEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == regions.SOPInstanceUID
    (request,) = explainer.asked
    assert (request.result.label, request.original.uri, request.uids) == ("nodule", "1.dcm", {})
    assert "Regions" not in comment(report)


def test_nothing_is_explained_for_a_destination_that_wants_reports_only(
    studies: AnalysedStudies, explainer: FakeExplainer
) -> None:
    """Nor for a study without findings."""
    studies.add_study()
    sender = FakeSender()
    deliver(studies, explainer, sender, "report")
    assert (len(sender.reports), explainer.asked) == (1, [])


def test_a_host_without_any_runtime_sends_the_report_and_says_so(
    studies: AnalysedStudies, explainer: FakeExplainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process is started."""
    monkeypatch.setattr("delivery.explaining.explainer.is_installed", lambda _runtime: False)
    studies.add_study()
    sender = FakeSender()

    assert states([result for result in [deliver(studies, explainer, sender)] if result]) == [("delivered", None)]

    (report,) = sender.reports
    assert comment(report).endswith(f"Regions are outlined for 0 of 1 findings: {NoRegions.NOT_INSTALLED} (1).")
    assert explainer.asked == []


def test_a_host_without_any_runtime_still_makes_key_images(
    studies: AnalysedStudies, explainer: FakeExplainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They show the finding without an outline."""
    monkeypatch.setattr("delivery.explaining.explainer.is_installed", lambda _runtime: False)
    studies.add_study()
    explainer.answer_with(Explained())
    sender = FakeSender()
    deliver(studies, explainer, sender, "report", "key_image")

    (request,) = explainer.asked
    assert not request.can_explain
    assert set(request.uids) == {"key_image"}
    assert str(NoRegions.NOT_INSTALLED) in comment(sender.reports[-1])


def test_a_host_without_the_bundle_says_so(studies: AnalysedStudies, explainer: FakeExplainer) -> None:
    """A bundle of the same name with another digest is another bundle."""
    studies.bundle_id = register_phantom(studies.ledger_driver, digest="e" * 64)
    studies.add_study()
    sender = FakeSender()
    deliver(studies, explainer, sender)
    assert str(NoRegions.NO_BUNDLE) in comment(sender.reports[-1])


def test_a_network_that_sees_neighbours_has_key_images_without_regions(
    studies: AnalysedStudies, explainer: FakeExplainer
) -> None:
    """Its input needs other files; the comment must not say that the original is gone."""
    known = {name: getattr(find_bundle("ct-nodule"), name) for name in ("name", "version", "digest", "labels")}
    studies.bundle_id = register_phantom(studies.ledger_driver, **known)
    studies.add_study()
    sender = FakeSender()
    deliver(studies, explainer, sender, "report", "key_image")

    (request,) = explainer.asked
    assert not request.can_explain
    assert comment(sender.reports[-1]).endswith(f"for 0 of 1 findings: {NoRegions.NEEDS_NEIGHBOURS} (1).")


def test_the_findings_with_the_highest_scores_are_explained(
    studies: AnalysedStudies, explainer: FakeExplainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study of a thousand findings must not hold up the others: fifty (here: three) are explained, in two minutes."""
    monkeypatch.setattr("delivery.explaining.explainer.MOST_FINDINGS", 3)
    studies.add_study(images=3)
    studies.add_study(score=0.99)
    deliver(studies, explainer, FakeSender())
    assert len(explainer.asked) == 3
    assert explainer.asked[0].result.score == 0.99

    slow = explainer.answer_with(Explained(no_regions=NoRegions.NO_HEAT), seconds=MOST_SECONDS / 2)
    studies.add_study()
    sender = FakeSender()
    deliver(studies, slow, sender)
    assert len(slow.asked) == 2
    assert f"{NoRegions.TOO_MANY} (3)" in comment(sender.reports[-1])


def test_an_object_that_is_not_accepted_is_left_out(studies: AnalysedStudies, explainer: FakeExplainer) -> None:
    """The report is sent, does not name it, and the row of the delivery says so."""
    studies.add_study()

    def act(instance: Dataset) -> None:
        if instance.SeriesInstanceUID == own_series_uid("regions", STUDY):
            raise NOT_SUPPORTED

    sender = FakeSender(act=act)
    result = deliver(studies, explainer, sender)
    assert result is not None
    assert (result.state, result.detail) == ("delivered", "Not accepted: Comprehensive 3D SR Storage.")
    assert "PertinentOtherEvidenceSequence" not in sender.reports[-1]


def test_an_object_that_cannot_be_sent_now_is_sent_again_with_the_report(
    studies: AnalysedStudies, explainer: FakeExplainer
) -> None:
    """The second attempt sends everything with the same UIDs."""
    studies.add_study()
    down = [True]

    def act(_instance: Dataset) -> None:
        if down[0]:
            raise NotDelivered(DeliveryReason.UNREACHABLE)

    sender = FakeSender(act=act)
    first = deliver(studies, explainer, sender)
    down[0] = False
    studies.ledger_driver.clock.advance(seconds=60)
    second = deliver(studies, explainer, sender)

    assert first is not None
    assert second is not None
    assert (first.state, second.state) == ("waiting", "delivered")
    regions, again, _report = sender.reports
    assert regions.SOPInstanceUID == again.SOPInstanceUID


def test_a_destination_may_get_key_images_alone(studies: AnalysedStudies, explainer: FakeExplainer) -> None:
    """A study without findings then needs none, and counts as delivered."""
    studies.add_study(label="clear", score=0.9)
    sender = FakeSender()
    result = deliver(studies, explainer, sender, "key_image")
    assert result is not None
    assert (result.state, sender.reports) == ("delivered", [])
    assert result.detail == "The study has no finding, and the destination gets no report."


def test_the_process_that_dies_costs_a_region_and_no_report(
    studies: AnalysedStudies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A codec or TensorFlow may kill it; the next request starts another one."""
    monkeypatch.setattr("nightread.piped_process.sys.executable", "/bin/false")
    studies.add_study()
    sender = FakeSender()
    explainer = Explainer(studies.settings, studies.ledger_driver.database)
    result = deliver(studies, explainer, sender)
    assert result is not None
    assert result.state == "delivered"
    assert str(NoRegions.FAILED) in comment(sender.reports[-1])
    assert explainer._process is None


def test_an_unused_process_is_ended(studies: AnalysedStudies) -> None:
    """It takes 0.9 GB of memory."""
    now = [0.0]
    explainer = Explainer(studies.settings, studies.ledger_driver.database, clock=lambda: now[0])
    running = explainer._process = PipedProcess("timeit")
    explainer.close_if_unused()
    assert running.stop.alive
    now[0] = 61.0
    explainer.close_if_unused()
    assert not running.stop.alive
    assert running.process.returncode is not None


def test_the_frame_with_the_highest_score_of_the_label_is_explained(
    studies: AnalysedStudies, explainer: FakeExplainer
) -> None:
    """Frames are counted from 1. The label and its codes are those of the bundle."""

    def several_frames(dataset: FileDataset) -> None:
        dataset.NumberOfFrames, dataset.PixelData = 4, 4 * dataset.PixelData

    scores = [("clear", 0.9), ("nodule", 0.6), ("nodule", 0.8), ("clear", 0.95)]
    frames = [
        FramePrediction(frame=number, label=label, score=score, scores=[1 - score, score])
        for number, (label, score) in enumerate(scores)
    ]
    studies.add_study(change=several_frames, score=0.8, frames=frames)

    deliver(studies, explainer, FakeSender())

    (request,) = explainer.asked
    assert (request.result.strongest_frame, request.result.frames) == (3, (2, 3))
    assert request.result.scores == (0.125, 0.875)
    assert request.result.bundle.codes_of("nodule") == PHANTOM.codes["nodule"]


def test_codes_that_a_bundle_gets_later_send_nothing_again(studies: AnalysedStudies, explainer: FakeExplainer) -> None:
    """Reports that were sent before stay valid, and so do their digests."""
    studies.add_study()
    before = queries.study_results(studies.ledger_driver.database, STUDY)
    named = {"nodule": (LabelCode(scheme="RADLEX", value="RID3875", meaning="nodule"),)}
    register_phantom(studies.ledger_driver, codes=named)
    after = queries.study_results(studies.ledger_driver.database, STUDY)

    assert after.results[0].bundle.codes_of("nodule") == named["nodule"]
    assert content_digest(before, not_for_diagnosis=True) == content_digest(after, not_for_diagnosis=True)
    deliver(studies, explainer, FakeSender())
    assert deliver(studies, explainer, FakeSender()) is None
