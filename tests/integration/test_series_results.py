"""The result of a series is formed from what its slices recorded, and follows them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals
from series_driver import HIGHEST, SERIES, STUDY, SeriesDriver, geometry, series_bundle

from db import ledger, queries
from db.ledger import Expected
from db.tables import State
from imaging.series.rules import SeriesRules
from models.series.spec import SeriesSpec
from nightread.reasons import Reason
from worker.series.form import SeriesFormer


@pytest.fixture
def series_driver(ledger_driver: LedgerDriver, tmp_path: Path) -> SeriesDriver:
    """A driver whose bundle takes the most suspicious slice."""
    return SeriesDriver(ledger_driver=ledger_driver, folder=tmp_path)


def driver_with(ledger_driver: LedgerDriver, folder: Path, **spec: Any) -> SeriesDriver:
    """Return a driver whose bundle has this table `series`."""
    bundle = series_bundle(replace(HIGHEST, **spec))
    return SeriesDriver(ledger_driver=ledger_driver, folder=folder, bundle=bundle)


def test_a_series_has_one_result_with_its_evidence_and_coverage(series_driver: SeriesDriver) -> None:
    """Slices that came in any order are arranged by position."""
    ids = series_driver.record([10, 0, 5, 15], [0.9, 0.2, 0.6, 0.1])
    assert [each.series_state for each in series_driver.results()] == ["collecting"]
    (result,) = series_driver.form()
    assert (result.series_state, result.state, result.label, result.coverage) == ("formed", "done", "nodule", "4 of 4")
    assert result.score == pytest.approx(0.9)
    assert result.suspicion == pytest.approx(0.9)
    assert [(each.place, each.image_id) for each in result.evidence] == [(3, ids[0]), (2, ids[2])]
    assert (result.partial, result.revision, result.remarks) == (False, 1, [])
    places = queries.places_of(series_driver.ledger_driver.database, SERIES)
    assert [place[0] for place in places[STUDY, "series", series_driver.bundle.version, 1]] == [
        ids[1],
        ids[2],
        ids[0],
        ids[3],
    ]


def test_the_outcome_of_each_file_stays_its_own(series_driver: SeriesDriver) -> None:
    """The counts of arrivals know nothing of series."""
    series_driver.record([0, 5, 10])
    series_driver.form()
    assert series_driver.ledger_driver.states() == ["done"] * 3


def test_a_late_slice_makes_a_revision(series_driver: SeriesDriver) -> None:
    """Until then the former result is shown."""
    series_driver.record([0, 5, 10])
    assert [each.label for each in series_driver.form()] == ["clear"]
    series_driver.record([15], [0.8])
    (before,) = series_driver.results()
    assert (before.series_state, before.label, before.revision) == ("collecting", "clear", 1)
    (after,) = series_driver.form()
    assert (after.series_state, after.label, after.revision, after.coverage) == ("formed", "nodule", 2, "4 of 4")


def test_the_same_content_is_no_revision(series_driver: SeriesDriver) -> None:
    """A copy of a slice forms the series again, with the same result."""
    content = "c" * 64
    series_driver.record([0], content=content)
    (first,) = series_driver.form()
    series_driver.record([0], content=content)
    assert series_driver.ledger_driver.states() == ["done", "duplicate"]
    assert [each.series_state for each in series_driver.results()] == ["collecting"]
    (second,) = series_driver.form()
    assert (second.revision, second.formed_at) == (1, first.formed_at)


def test_a_series_at_the_deadline_is_partial(series_driver: SeriesDriver) -> None:
    """So is one whose study misses images."""
    driver = series_driver.ledger_driver
    expected = Expected(study_instance_uid=STUDY, source_id=driver.source_id, reported_by="store", images=9)
    ledger.expect(driver.database, [expected], now=driver.clock())
    series_driver.record([0, 5, 10])
    (result,) = series_driver.form()
    assert (result.partial, result.coverage, result.remarks) == (True, "3 of 3", ["images_missing"])
    assert result.detail == "3 of 9 images of the study arrived."


def test_a_slice_without_an_outcome_makes_the_series_partial(series_driver: SeriesDriver) -> None:
    """A slice that is retried was read, so its series is known."""
    driver = series_driver.ledger_driver
    series_driver.record([0, 5])
    later = driver.clock.advance(days=1)
    series_driver.record([10], state=State.RECEIVED, reason=Reason.IO_ERROR, content="b" * 64, not_before=later)
    (result,) = series_driver.form()
    assert (result.partial, result.coverage, result.remarks) == (True, "2 of 3", ["unfinished_slices"])


@pytest.mark.parametrize(
    ("cost", "label", "coverage"), [("slice", "nodule", "4 of 5"), ("neighbours", "clear", "2 of 5")]
)
def test_a_bad_slice_costs_what_the_bundle_says(
    ledger_driver: LedgerDriver, tmp_path: Path, cost: str, label: str, coverage: str
) -> None:
    """Here the nodule is seen beside the bad slice only."""
    series_driver = driver_with(ledger_driver, tmp_path, bad_slice=cost)
    series_driver.record([0, 5, 15, 20], [0.1, 0.9, 0.1, 0.1])
    series_driver.record([10], state=State.REJECTED, reason=Reason.BAD_PIXELS, content="b" * 64)
    (result,) = series_driver.form()
    assert (result.label, result.coverage, result.remarks) == (label, coverage, ["bad_slices"])
    assert not result.partial


def test_a_bad_slice_may_cost_the_series(ledger_driver: LedgerDriver, tmp_path: Path) -> None:
    """Then it has no result, with the reason."""
    series_driver = driver_with(ledger_driver, tmp_path, bad_slice="series")
    series_driver.record([0, 5])
    series_driver.record([10], state=State.FAILED, reason=Reason.TIMEOUT, content="b" * 64)
    (result,) = series_driver.form()
    assert (result.state, result.reason, result.label, result.coverage) == ("rejected", "bad_slice", None, "0 of 3")


def test_gaps_are_named_and_end_a_run(ledger_driver: LedgerDriver, tmp_path: Path) -> None:
    """Of four suspicious slices a missing one leaves two in a row."""
    series_driver = driver_with(ledger_driver, tmp_path, aggregate="run", count=4, thresholds={"nodule": 0.5})
    series_driver.record([0, 5, 10, 20, 25, 30], [0.1, 0.9, 0.9, 0.9, 0.9, 0.1])
    (result,) = series_driver.form()
    assert (result.label, result.score, result.remarks) == ("nodule", 0.5, ["gap"])
    assert result.detail == "1 slice is missing, the first after slice 3."
    assert [each.place for each in result.evidence] == [2, 3]


def test_two_stacks_have_two_results(series_driver: SeriesDriver) -> None:
    """Echoes at the same positions are told apart."""
    for echo, score in ((1, 0.1), (2, 0.9)):
        own = {"attributes": {"echo_number": echo}, "instance_number": None}
        series_driver.record([0, 5, 10], [score] * 3, slice_geometry=own)
    found = {each.stack_name: (each.label, each.coverage) for each in series_driver.form()}
    assert found == {"echo_number 1": ("clear", "3 of 3"), "echo_number 2": ("nodule", "3 of 3")}


def test_stacks_that_cannot_be_told_apart_are_ambiguous(series_driver: SeriesDriver) -> None:
    """The series as a whole has a reason, with a sentence; its slices keep their results."""
    for number in (1, 2):
        series_driver.record([0, 5, 10], slice_geometry={"instance_number": number})
    (result,) = series_driver.form()
    assert (result.stack, result.state, result.reason) == (0, "rejected", "ambiguous_series")
    assert (result.detail, result.coverage) == (Reason.AMBIGUOUS_SERIES.message, "0 of 6")
    assert series_driver.ledger_driver.states() == ["done"] * 6


def test_duplicates_and_localizers_are_left_out(series_driver: SeriesDriver) -> None:
    """They are named, and do not count for the coverage."""
    series_driver.record([0, 5, 10])
    series_driver.record([5])
    series_driver.record([50], slice_geometry={"attributes": {"image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}})
    (result,) = series_driver.form()
    assert (result.coverage, result.remarks) == ("3 of 3", ["localizers_left_out", "duplicates_left_out"])


def test_a_bundle_refuses_series_for_which_it_was_not_made(ledger_driver: LedgerDriver, tmp_path: Path) -> None:
    """Two slices are too few for it."""
    series_driver = driver_with(ledger_driver, tmp_path, rules=SeriesRules(minimum_slices=3))
    series_driver.record([0, 5])
    (result,) = series_driver.form()
    assert (result.state, result.reason) == ("rejected", "series_rules")
    assert result.detail == "The stack has fewer slices than the bundle requires."


def test_the_frames_of_a_multi_frame_object_are_slices(series_driver: SeriesDriver) -> None:
    """An Enhanced object is a series in one file."""
    frames = tuple(
        ledger.FramePrediction(frame=number, label="clear", score=1 - score, scores=[1 - score, score])
        for number, score in enumerate((0.1, 0.7, 0.2))
    )
    pieces = ",".join(geometry(place)[1:-1] for place in (10, 5, 0))
    series_driver.record([0], facts={"frames": 3, "geometry": f"[{pieces}]"}, frames=frames)
    (result,) = series_driver.form()
    assert (result.label, result.coverage) == ("nodule", "3 of 3")
    assert [(each.place, each.frame) for each in result.evidence] == [(2, 1)]


def test_a_slice_during_forming_is_not_lost(series_driver: SeriesDriver) -> None:
    """What was computed without it is not recorded: the series is formed again."""
    driver = series_driver.ledger_driver
    series_driver.record([0, 5])
    ledger.mark_all_due(driver.database)
    former = SeriesFormer(series_driver.context())
    lease = series_driver.context().lease
    (claimed,) = ledger.claim_series(driver.database, most=9, lease=lease, now=driver.clock())
    formed = former.form(claimed)
    assert formed is not None
    series_driver.record([10], [0.9])
    assert ledger.record_series(driver.database, [formed], now=driver.clock()) == 0
    (result,) = series_driver.form()
    assert (result.label, result.coverage, result.revision) == ("nodule", "3 of 3", 1)


def test_a_process_that_dies_while_it_forms_loses_its_claim(series_driver: SeriesDriver) -> None:
    """After its lease another process forms the series; what the dead one computed comes too late."""
    driver = series_driver.ledger_driver
    series_driver.record([0, 5])
    ledger.mark_all_due(driver.database)
    context = series_driver.context()
    (claimed,) = ledger.claim_series(driver.database, most=9, lease=context.lease, now=driver.clock())
    formed = SeriesFormer(context).form(claimed)
    assert ledger.return_expired_series(driver.database, now=driver.clock()) == 0
    assert ledger.return_expired_series(driver.database, now=driver.clock.advance(seconds=121)) == 1
    (result,) = series_driver.form()
    assert (result.series_state, result.revision) == ("formed", 1)
    assert formed is not None
    assert ledger.record_series(driver.database, [formed], now=driver.clock()) == 0


def test_a_series_that_kills_three_processes_fails(series_driver: SeriesDriver) -> None:
    """A slice that comes later gives it another chance."""
    driver = series_driver.ledger_driver
    series_driver.record([0, 5])
    ledger.mark_all_due(driver.database)
    for _ in range(3):
        lease = series_driver.context().lease
        assert ledger.claim_series(driver.database, most=9, lease=lease, now=driver.clock())
        assert ledger.return_expired_series(driver.database, now=driver.clock.advance(seconds=121)) == 1
    (failed,) = series_driver.results()
    assert (failed.series_state, failed.reason) == ("failed", "killed_worker")
    assert not ledger.claim_series(driver.database, most=9, lease=lease, now=driver.clock())
    series_driver.record([10])
    assert [each.series_state for each in series_driver.form()] == ["formed"]


def test_a_purge_removes_the_results_of_its_series(series_driver: SeriesDriver) -> None:
    """Also while the series is being formed; other series stay."""
    driver = series_driver.ledger_driver
    ids = series_driver.record([0, 5])
    series_driver.record([0, 5], series="1.2.3.5")
    series_driver.form()
    series_driver.record([10])
    ledger.mark_all_due(driver.database)
    context = series_driver.context()
    (claimed,) = ledger.claim_series(driver.database, most=9, lease=context.lease, now=driver.clock())
    formed = SeriesFormer(context).form(claimed)
    ledger.purge(driver.database, ids, cause="image", actor="ann", now=driver.clock())
    assert formed is not None
    assert ledger.record_series(driver.database, [formed], now=driver.clock()) == 0
    assert [each.series_instance_uid for each in series_driver.results()] == ["1.2.3.5"]


def test_nothing_is_recorded_of_a_patient_who_opted_out(series_driver: SeriesDriver) -> None:
    """The list may have changed after the slices were recorded."""
    driver = series_driver.ledger_driver
    series_driver.record([0, 5], facts={"patient_key": "p" * 64})
    ledger.add_opt_out(driver.database, ["p" * 64], number_key=None, key_id="k", actor="ann", now=driver.clock())
    assert [each.state for each in series_driver.form()] == [None]


def test_of_versions_that_contest_each_other_the_more_suspicious_one_counts(series_driver: SeriesDriver) -> None:
    """No sender can remove the finding of another one."""
    driver = series_driver.ledger_driver
    uid = {"sop_instance_uid": "1.2.3.4.99"}
    series_driver.record([0, 5])
    series_driver.record([10], [0.9], facts=uid)
    driver.source_id = ledger.ensure_source(driver.database, name="b", kind="folder", root="/b", now=driver.clock())
    series_driver.record([10], [0.1], facts=uid)
    (result,) = series_driver.form()
    assert (result.label, result.coverage) == ("nodule", "3 of 3")
    assert result.remarks == ["in_conflict", "several_sources"]


def test_images_without_a_bundle_of_series_begin_none(ledger_driver: LedgerDriver) -> None:
    """Their commit costs nothing more."""
    ledger_driver.register(build_arrivals(2))
    ledger_driver.analyse_all()
    assert list(queries.series_list(ledger_driver.database)) == []
    assert not queries.unformed_series(ledger_driver.database)


def test_a_series_needs_a_study(series_driver: SeriesDriver) -> None:
    """Without a Study Instance UID its slices could not be found again."""
    series_driver.record([0, 5], study=None)
    assert series_driver.results() == []


def test_an_aggregate_that_counts_needs_its_own_thresholds() -> None:
    """The threshold of a slice says nothing of a share."""
    with pytest.raises(ValueError, match="thresholds must name nodule"):
        series_bundle(SeriesSpec(aggregate="share"))
