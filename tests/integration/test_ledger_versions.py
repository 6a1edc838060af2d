"""Duplicates, versions and further results: of several rows exactly the right ones are changed."""

from types import SimpleNamespace
from typing import Any

import pytest
from ledger_driver import LedgerDriver, build_arrivals, build_outcome

from db import ledger
from db.ledger import Annotations, FramePrediction, FurtherPrediction, Members, deliveries
from db.ledger.locks import begin_recording, lock_other_images, stop_recording
from db.tables import State
from imaging.facts import Facts
from nightread.reasons import Reason

CONTENT = "c" * 64
FRAME = FramePrediction(frame=0, label="nodule", score=0.5, scores=[0.5, 0.5])


def record(ledger_driver: LedgerDriver, *fields: dict[str, Any]) -> None:
    """Register one image per dictionary, and record their outcomes in one batch."""
    ledger_driver.register(build_arrivals(len(fields)))
    (batch,) = ledger_driver.form()
    images = ledger_driver.claim(batch)
    ledger_driver.record(batch, [build_outcome(image, **given) for image, given in zip(images, fields, strict=True)])


def version(sop: str | None, series: str | None = "2") -> dict[str, Any]:
    return {"facts": Facts(sop_instance_uid=sop, series_instance_uid=series)}


def superseded_by(ledger_driver: LedgerDriver) -> list[int | None]:
    return [row.superseded_by for row in ledger_driver.instances()]


def further(bundle_id: int, **fields: Any) -> FurtherPrediction:
    values: dict[str, Any] = {"label": "nodule", "score": 0.5, "scores": [0.5, 0.5], "frames": (FRAME,)} | fields
    return FurtherPrediction(bundle_id=bundle_id, **({"shadow": True} | values))


def test_an_outdated_version_is_not_written_again(ledger_driver: LedgerDriver) -> None:
    """Each leads to the next one, so that 10,000 versions do not cost 10,000 updates each."""
    for _ in range(3):
        record(ledger_driver, version("1"))
    assert superseded_by(ledger_driver) == [2, 3, None]


def test_images_without_a_series_are_no_versions(ledger_driver: LedgerDriver) -> None:
    """Neither of each other nor of one that has a series, all with the same SOP Instance UID."""
    record(ledger_driver, version("1", None), version("1", None), version("1"), version(None), version(None, None))
    record(ledger_driver, version("1", None), version(None), version(None, None), version("1"))
    assert superseded_by(ledger_driver) == [None, None, 9, None, None, None, None, None, None]


def test_each_image_of_a_series_has_its_own_versions(ledger_driver: LedgerDriver) -> None:
    """Two of them have two versions, and a third one has one."""
    record(ledger_driver, version("1"), version("2"), version("3"))
    record(ledger_driver, version("2"), version("1"))
    assert superseded_by(ledger_driver) == [5, 4, None, None, None]


def test_only_a_result_of_its_own_makes_a_version(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """An image that only a shadow rule takes is rejected, although it has a further result."""
    record(ledger_driver, version("1"))
    rejected = {
        "state": State.REJECTED,
        "reason": Reason.NO_MODEL,
        "content": CONTENT,
        "further": (further(bundle_id),),
    }
    record(ledger_driver, version("1") | rejected)
    assert ledger_driver.states() == [State.DONE, State.REJECTED, State.DONE]
    record(ledger_driver, version("1"))
    assert superseded_by(ledger_driver) == [3, None, None]


def test_results_without_a_hash_are_no_duplicates(ledger_driver: LedgerDriver) -> None:
    """Their bytes are not known."""
    record(ledger_driver, {"content": None}, {"content": None})
    assert ledger_driver.states() == [State.DONE, State.DONE]


def test_a_rejection_of_bytes_that_have_a_result_stays_a_rejection(ledger_driver: LedgerDriver) -> None:
    """In the batch of the result, and in a later one."""
    rejected = {"state": State.REJECTED, "reason": Reason.TRUNCATED, "content": CONTENT}
    record(ledger_driver, rejected, {"content": CONTENT}, rejected)
    record(ledger_driver, rejected)
    assert ledger_driver.states() == [State.REJECTED, State.DONE, State.REJECTED, State.REJECTED]


def test_a_duplicate_has_neither_a_rule_nor_members(ledger_driver: LedgerDriver) -> None:
    """Those of the first copy count, even if the second one was unpacked as well."""
    archives = ledger.ensure_source(
        ledger_driver.database, name="archives", kind="folder", root="/archives", now=ledger_driver.clock()
    )
    members = [Members(source_id=archives, arrivals=tuple(build_arrivals(number))) for number in (1, 2)]
    expanded = {"state": State.EXPANDED, "content": CONTENT, "route_id": 7, "bundle_id": None}
    record(ledger_driver, *(expanded | {"annotations": Annotations(members=each)} for each in members))
    assert [(row.state, row.route_id) for row in ledger_driver.work()] == [
        (State.EXPANDED, 7),
        (State.DUPLICATE, None),
        (State.RECEIVED, None),
    ]


def test_duplicates_of_one_batch_have_the_facts_of_their_own_original(ledger_driver: LedgerDriver) -> None:
    """One original is in the batch, and the other one was recorded before."""
    earlier, present = {"content": "e" * 64}, {"content": "a" * 64}
    record(ledger_driver, earlier | {"facts": Facts(modality="MR")})
    record(ledger_driver, present | {"facts": Facts(modality="CR")}, present, earlier)
    assert [row.modality for row in ledger_driver.instances()] == ["MR", "CR", "CR", "MR"]
    assert [row.duplicate_of for row in ledger_driver.work()] == [None, None, 2, 1]


def test_a_further_result_is_a_final_row_with_all_of_its_values(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """It was tried once, killed nothing, and has the rule and the remarks of its own."""
    result = further(bundle_id, route_id=9, remarks="near_domain_edge", detail="Near.")
    record(ledger_driver, {"further": (result,), "bundle_id": bundle_id})
    _own, row = ledger_driver.work()
    assert (row.attempts, row.deaths, row.expiries, row.priority, row.alone) == (1, 0, 0, 0, False)
    assert (row.bundle_id, row.route_id, row.remarks, row.detail) == (bundle_id, 9, "near_domain_edge", "Near.")
    assert (row.reason, row.matched, row.state) == (None, None, State.DONE)


@pytest.mark.parametrize(
    ("reason", "detail", "state", "kept"),
    [
        (Reason.BAD_SCORES, None, State.FAILED, Reason.BAD_SCORES.message),
        (Reason.BAD_SCORES, "Why.", State.FAILED, "Why."),
        (Reason.OUT_OF_DOMAIN, None, State.REJECTED, Reason.OUT_OF_DOMAIN.message),
        (Reason.TRUNCATED, None, State.REJECTED, Reason.TRUNCATED.message),
        (None, None, State.DONE, None),
    ],
)
def test_the_state_of_a_further_result_follows_from_its_reason(
    ledger_driver: LedgerDriver, bundle_id: int, reason: Reason | None, detail: str | None, state: State, kept: str
) -> None:
    """Without a detail the message of the reason is stored."""
    record(ledger_driver, {"further": (further(bundle_id, reason=reason, detail=detail, frames=()),)})
    row = ledger_driver.work()[1]
    assert (row.state, row.reason, row.detail) == (state, reason, kept)


def test_a_retry_adds_only_the_further_results_that_failed_before(ledger_driver: LedgerDriver, bundle_id: int) -> None:
    """They come behind the rows that the image has; the rows of another image say nothing about it."""
    other = ledger_driver.register_trial_bundle()
    failed = {"state": State.REJECTED, "reason": Reason.NO_MODEL, "content": CONTENT}
    first = (further(other), further(bundle_id, reason=Reason.BAD_SCORES, frames=()))
    record(ledger_driver, failed | {"further": first}, {"further": (further(bundle_id),)})
    assert ledger.retry(ledger_driver.database, [1], actor="ann", now=ledger_driver.clock()) == 1
    again = (further(other), further(bundle_id))
    ledger_driver.analyse_all(bundle_id=bundle_id, content=CONTENT, further=again)
    rows = [(row.instance_id, row.ordinal, row.bundle_id, row.state) for row in ledger_driver.work()]
    assert sorted(rows)[1:] == [
        (1, 1, other, State.DONE),
        (1, 2, bundle_id, State.FAILED),
        (1, 3, bundle_id, State.DONE),
        (2, 0, None, State.DONE),
        (2, 1, bundle_id, State.DONE),
    ]
    assert ledger_driver.predicted() == sorted(
        row.id for row in ledger_driver.work() if (row.instance_id, row.ordinal) != (1, 2)
    )


class Statements:
    """A connection that keeps statements instead of running them."""

    def __init__(self, dialect: str) -> None:
        self.dialect = SimpleNamespace(name=dialect)
        self.kept: list[str] = []

    def execute(self, statement: Any, values: dict[str, Any] | None = None) -> None:
        """Keep a statement with its values."""
        kept = statement.bindparams(**values) if values else statement
        self.kept.append(str(kept.compile(compile_kwargs={"literal_binds": True})))


def test_postgresql_locks_by_keys_that_all_releases_share() -> None:
    """Processes of an older release lock the same: one key for other images, one per study and destination."""
    connection: Any = Statements("postgresql")
    begin_recording(connection)
    lock_other_images(connection)
    stop_recording(connection)
    deliveries._lock(connection, "1.2", "pacs")
    assert connection.kept == [
        "SELECT pg_advisory_xact_lock_shared(1852994159)",
        "SELECT pg_advisory_xact_lock(1852401512)",
        "SELECT pg_advisory_xact_lock(1852994159)",
        "SELECT pg_advisory_xact_lock(1852401512)",
        "SELECT pg_advisory_xact_lock(hashtextextended('1.2|pacs', 1936027236)) AS pg_advisory_xact_lock_1",
    ]


def test_sqlite_needs_no_lock() -> None:
    """It has one writer."""
    connection: Any = Statements("sqlite")
    begin_recording(connection)
    lock_other_images(connection)
    stop_recording(connection)
    deliveries._lock(connection, "1.2", "pacs")
    assert connection.kept == []
