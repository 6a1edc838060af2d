"""Attempts of one delivery, with a destination that a test defines."""

import logging
from datetime import UTC, datetime, timedelta, timezone

import pytest
from analysed_studies import STUDY, AnalysedStudies, states
from fake_destination import FakeSender, delivery_to, failing
from pydicom.dataset import Dataset
from sqlalchemy.exc import OperationalError

from db import queries
from db.ledger import Annotations, Withdrawal
from db.queries import Delivery
from db.tables import State
from delivery.reasons import DeliveryReason, NotDelivered
from delivery.report_delivery import DeliveryResult
from nightread.errors import StopWork
from nightread.reasons import Reason

pytestmark = [
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
    # pynetdicom 3.0.4 leaves the socket of a connection that was refused to the garbage collector.
    pytest.mark.usefixtures("collect_garbage"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]


def delivered(studies: AnalysedStudies, sender: FakeSender, **options: object) -> DeliveryResult:
    """Deliver the report of the only study once."""
    result = delivery_to(studies, sender, **options).deliver(STUDY, again=False)
    assert result is not None
    return result


def row_of(studies: AnalysedStudies) -> Delivery:
    (row,) = queries.deliveries(studies.ledger_driver.database)
    return row


@pytest.mark.parametrize("error", [StopWork("stop"), OperationalError("sql", {}, Exception())])
def test_errors_that_concern_the_whole_process_are_passed_on(studies: AnalysedStudies, error: Exception) -> None:
    """The report keeps its claim, and is not failed: it may have been sent."""
    with pytest.raises(type(error)):
        delivered(studies, failing(error))
    assert (row_of(studies).state, row_of(studies).reason) == ("waiting", "sending")


def test_any_other_error_fails_the_report_with_the_class_of_the_error(
    studies: AnalysedStudies, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug must not stop the reports of other studies."""
    result = delivered(studies, failing(ZeroDivisionError("PHANTOM^A")))
    assert states([result]) == [("failed", "internal_error")]
    assert result.detail == "An unexpected ZeroDivisionError occurred. The log names the line of code."
    assert [record.levelno for record in caplog.records if record.exc_info] == [logging.ERROR]


def test_a_warning_is_kept_with_the_delivered_report(studies: AnalysedStudies) -> None:
    """The destination has the report."""
    result = delivered(studies, FakeSender(act=lambda _report: "It returned B000H."))
    assert (result.state, result.reason, result.detail) == ("delivered", None, "It returned B000H.")
    assert (row_of(studies).detail, row_of(studies).finished_at) == (
        "It returned B000H.",
        studies.ledger_driver.clock(),
    )


def test_the_claim_lasts_as_long_as_sending_may_take(studies: AnalysedStudies) -> None:
    """60 s, four time-outs of 5 s, 0.1 s for each of three images, and 240 s to explain the findings."""
    studies.add_study(images=2)
    seen: list[Delivery] = []

    def look(_report: Dataset) -> None:
        seen.append(row_of(studies))

    delivered(studies, FakeSender(act=look))
    (row,) = seen
    assert row.not_before == studies.ledger_driver.clock() + timedelta(seconds=60 + 4 * 5 + 3 * 0.1 + 240)
    assert (row.reason, row.attempts) == ("sending", 1)


def test_a_report_that_another_process_sends_is_left_to_it(studies: AnalysedStudies) -> None:
    """Also if the results have changed since: the other process has claimed the earlier content."""
    results: list[DeliveryResult | None] = []
    other = FakeSender()

    def meanwhile(_report: Dataset) -> None:
        studies.add_study(score=0.5)
        results.append(delivery_to(studies, other).deliver(STUDY, again=False))

    delivered(studies, FakeSender(act=meanwhile))
    assert other.reports == []
    (result,) = results
    assert result is not None
    assert (result.state, result.reason, result.revision) == ("waiting", "sending", 1)


@pytest.mark.parametrize(
    ("second", "end"),
    [
        (DeliveryReason.UNREACHABLE, ("waiting", "no_answer")),
        (DeliveryReason.BUSY, ("waiting", "no_answer")),
        (DeliveryReason.NOT_UNDERSTOOD, ("failed", "not_understood")),
    ],
)
def test_a_report_that_may_be_stored_stays_so_until_a_final_answer(
    studies: AnalysedStudies, second: DeliveryReason, end: tuple[str, str | None]
) -> None:
    """Its UID must not be used for other results."""
    delivered(studies, failing(NotDelivered(DeliveryReason.NO_ANSWER)))
    studies.ledger_driver.clock.advance(seconds=10)
    result = delivered(studies, failing(NotDelivered(second)))
    assert states([result]) == [end]
    assert result.detail == second.message


@pytest.mark.parametrize(("seconds", "state"), [(-1, "waiting"), (0, "failed")])
def test_patience_ends_at_its_last_second(studies: AnalysedStudies, seconds: int, state: str) -> None:
    """It is counted from the draft of the report."""
    studies.settings_given["retry_patience_seconds"] = 600
    sender = failing(NotDelivered(DeliveryReason.BUSY))
    delivered(studies, sender)
    studies.ledger_driver.clock.advance(seconds=600 + seconds)
    assert states([delivered(studies, sender)]) == [(state, "busy")]


def test_unreadable_certificates_do_not_use_up_the_patience(studies: AnalysedStudies) -> None:
    """The fault lies on this host: the report waits for days, and then has its whole patience."""
    studies.settings_given["retry_patience_seconds"] = 600
    clock = studies.ledger_driver.clock
    unreadable = failing(NotDelivered(DeliveryReason.CERTIFICATES))
    for _ in range(3):
        assert states([delivered(studies, unreadable)]) == [("waiting", "certificates")]
        clock.advance(days=2)
    assert states([delivered(studies, unreadable)]) == [("waiting", "certificates")]
    assert row_of(studies).detail == DeliveryReason.CERTIFICATES.message
    busy = failing(NotDelivered(DeliveryReason.BUSY))
    for seconds, state in ((599, "waiting"), (1, "failed")):
        clock.advance(seconds=seconds)
        assert states([delivered(studies, busy, at_once=True)]) == [(state, "busy")]


def test_unreadable_certificates_hold_all_reports_of_the_destination(studies: AnalysedStudies) -> None:
    """Only the first one is tried in a pass; each says why it waits, and none uses up its patience."""
    studies.settings_given["retry_patience_seconds"] = 600
    studies.add_study(study="1.2.99")
    clock, busy = studies.ledger_driver.clock, failing(NotDelivered(DeliveryReason.BUSY))
    for uid in (STUDY, "1.2.99"):
        delivery_to(studies, busy).deliver(uid, again=False)
    clock.advance(seconds=599)
    delivered(studies, failing(NotDelivered(DeliveryReason.CERTIFICATES)))
    rows = list(queries.deliveries(studies.ledger_driver.database))
    assert [(row.state, row.reason, row.created_at) for row in rows] == [("waiting", "certificates", clock())] * 2


def test_a_report_that_may_be_stored_keeps_its_time_while_certificates_are_unreadable(
    studies: AnalysedStudies,
) -> None:
    """The time is part of the report, whose UID the destination may know. It does not fail meanwhile."""
    studies.settings_given["retry_patience_seconds"] = 600
    began = studies.ledger_driver.clock()
    delivered(studies, failing(NotDelivered(DeliveryReason.NO_ANSWER)))
    studies.ledger_driver.clock.advance(days=2)
    result = delivered(studies, failing(NotDelivered(DeliveryReason.CERTIFICATES)))
    assert states([result]) == [("waiting", "no_answer")]
    assert (row_of(studies).created_at, row_of(studies).detail) == (began, DeliveryReason.CERTIFICATES.message)


def test_the_report_has_the_local_time_of_its_draft(studies: AnalysedStudies) -> None:
    """22:00 UTC is the next day in Tokyo; each attempt has the same time."""
    studies.ledger_driver.clock.now = datetime(2026, 11, 5, 22, 0, tzinfo=UTC)
    sender = failing(NotDelivered(DeliveryReason.BUSY))
    tokyo = timezone(timedelta(hours=9))
    for _ in range(2):
        delivered(studies, sender, zone=tokyo)
        studies.ledger_driver.clock.advance(minutes=5)
    assert [(report.ContentDate, report.ContentTime) for report in sender.reports] == [("20261106", "070000")] * 2


def test_a_person_does_not_wait_for_the_pause(studies: AnalysedStudies) -> None:
    """`send-results` tries at once, and the loop waits until the report is due."""
    sender = failing(NotDelivered(DeliveryReason.BUSY))
    delivered(studies, sender)
    delivered(studies, sender)
    assert len(sender.reports) == 1
    delivered(studies, sender, at_once=True)
    assert len(sender.reports) == 2


def test_a_preview_numbers_revisions_as_they_would_be_sent(studies: AnalysedStudies) -> None:
    """A waiting report keeps its number; changed results after a delivered one are the next revision."""
    sender = failing(NotDelivered(DeliveryReason.BUSY))
    delivery = delivery_to(studies, sender)
    delivery.deliver(STUDY, again=False)
    waiting = delivery.preview(STUDY, again=False)
    assert waiting is not None
    assert (waiting.revision, waiting.delivery_id) == (1, row_of(studies).id)
    sender.act = lambda _report: None
    studies.ledger_driver.clock.advance(seconds=10)
    delivery.deliver(STUDY, again=False)
    assert delivery.preview(STUDY, again=True) is None
    studies.add_study(score=0.5)
    changed = delivery.preview(STUDY, again=False)
    assert changed is not None
    assert (changed.revision, changed.delivery_id, changed.images) == (2, None, 2)


def test_a_preview_repeats_a_failed_report_only_on_request(studies: AnalysedStudies) -> None:
    """Its content is the same."""
    delivery = delivery_to(studies, failing(NotDelivered(DeliveryReason.NOT_UNDERSTOOD)))
    delivery.deliver(STUDY, again=False)
    assert delivery.preview(STUDY, again=False) is None
    assert delivery.preview(STUDY, again=True) is not None


def test_a_study_without_results_and_reports_has_nothing_to_send(studies: AnalysedStudies) -> None:
    """No row is inserted, and the destination is not asked."""
    sender = FakeSender()
    assert delivery_to(studies, sender).deliver("1.2.3", again=True) is None
    assert delivery_to(studies, sender).preview("1.2.3", again=True) is None
    assert (sender.reports, list(queries.deliveries(studies.ledger_driver.database))) == ([], [])


def test_a_delivered_report_stays_delivered_when_its_images_are_withdrawn(studies: AnalysedStudies) -> None:
    """Nothing is left to send, and the destination has the report."""
    delivered(studies, FakeSender())
    note = Withdrawal(study_instance_uid=STUDY, code="113001", sop_instance_uids=(f"{STUDY}.3.1",))
    studies.register(studies.write_scan())
    annotations = Annotations(withdrawal=note)
    studies.analyse(state=State.REJECTED, reason=Reason.KEY_OBJECT, annotations=annotations, label=None, score=None)
    assert delivery_to(studies, FakeSender()).deliver(STUDY, again=False) is None
    assert row_of(studies).state == "delivered"


def test_an_original_that_may_come_back_is_waited_for(studies: AnalysedStudies) -> None:
    """One original was changed, and the folder of the other one is away."""
    studies.settings_given["roots"] = {"away": studies.folder / "nowhere"}
    path = studies.write_scan()
    studies.ledger_driver.source_id = _register_source(studies, "away")
    studies.register(path)
    studies.analyse()
    (studies.inbox / "1.dcm").write_bytes(b"changed")
    assert states([delivered(studies, FakeSender())]) == [("waiting", "source_away")]


@pytest.mark.parametrize(("is_there", "end"), [(False, "source_away"), (True, "source_gone")])
def test_the_mounted_root_of_this_host_is_read(studies: AnalysedStudies, is_there: bool, end: str) -> None:
    """The setting `roots` names it; if it is there, a missing file is gone for good."""
    mounted = studies.folder / "mounted"
    studies.settings_given["roots"] = {"ward": mounted}
    if is_there:
        mounted.mkdir()
    assert delivered(studies, FakeSender()).reason == end
    mounted.mkdir(exist_ok=True)
    (mounted / "1.dcm").write_bytes((studies.inbox / "1.dcm").read_bytes())
    result = delivery_to(studies, FakeSender(), at_once=True).deliver(STUDY, again=True)
    assert result is not None
    assert result.state == "delivered"


def _register_source(studies: AnalysedStudies, name: str) -> int:
    from db import ledger  # noqa: PLC0415

    driver = studies.ledger_driver
    return ledger.ensure_source(driver.database, name=name, kind="folder", root=str(studies.inbox), now=driver.clock())
