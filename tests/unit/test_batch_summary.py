"""The result, the state and the name of a batch in Flower say what became of its images."""

import pytest
from batch_events import CollectedEvents, finish_batch
from celery.events.state import State as EventState

from db.ledger import Outcome
from db.tables import State
from nightread.reasons import Reason
from worker.batch_summary import BatchResult, summarize

DONE = Outcome(work_id=1, instance_id=11, state=State.DONE)
TRUNCATED = Outcome(work_id=2, instance_id=12, state=State.REJECTED, reason=Reason.TRUNCATED)
LOCALIZER = Outcome(work_id=3, instance_id=13, state=State.REJECTED, reason=Reason.NO_MODEL)
KILLED = Outcome(work_id=4, instance_id=14, state=State.FAILED, reason=Reason.KILLED_WORKER)
ARRIVING = Outcome(work_id=5, instance_id=15, state=State.RECEIVED, reason=Reason.STILL_ARRIVING)


def shown(*outcomes: Outcome) -> dict[str, object]:
    """Return the result of a batch in which all these outcomes were recorded."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.state.value] = counts.get(outcome.state.value, 0) + 1
    return summarize(counts, outcomes).in_words()


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        ((DONE,), {"done": 1}),
        ((ARRIVING,), {"put back": 1, "still_arriving": 1, "image_ids": [15]}),
        ((LOCALIZER, LOCALIZER), {"rejected": 2, "no_model": 2}),
        (
            (DONE, TRUNCATED, KILLED),
            {"done": 1, "rejected": 1, "failed": 1, "truncated": 1, "killed_worker": 1, "image_ids": [12, 14]},
        ),
    ],
)
def test_the_result_tells_states_reasons_and_ids(outcomes: tuple[Outcome, ...], result: dict[str, object]) -> None:
    """An image that is out of scope needs nobody, so its id is left out."""
    assert shown(*outcomes) == result


def test_a_result_lists_at_most_sixteen_images() -> None:
    """Celery cuts a long result off, and a cut one could not be read."""
    assert len(shown(*[KILLED] * 16)["image_ids"]) == 16  # type: ignore[arg-type]
    assert "image_ids" not in shown(*[KILLED] * 17)


def test_a_batch_that_other_processes_have_is_empty() -> None:
    """What this process found out counts for nothing, because nothing was recorded."""
    assert summarize({}, [KILLED]) == BatchResult()


@pytest.mark.parametrize(
    ("outcomes", "state", "name"),
    [
        ((DONE, LOCALIZER), "SUCCESS", "nightread.analyse"),
        ((DONE, ARRIVING), "SUCCESS", "nightread.analyse"),
        ((TRUNCATED,), "FAILURE", "nightread.analyse.failed"),
        ((KILLED, ARRIVING), "FAILURE", "nightread.analyse.failed"),
        ((DONE, KILLED), "SOME_FAILED", "nightread.analyse.some_failed"),
        ((ARRIVING, LOCALIZER), "RETRY", "nightread.analyse.put_back"),
        ((LOCALIZER,), "OUT_OF_SCOPE", "nightread.analyse.out_of_scope"),
        ((), "EMPTY", "nightread.analyse.empty"),
    ],
)
def test_only_a_batch_with_results_and_without_failures_is_green(
    outcomes: tuple[Outcome, ...], state: str, name: str
) -> None:
    """Celery's own request and Celery's own view of its events are in between."""
    events, seen = CollectedEvents(), EventState()
    events.send("task-received", uuid="b", name="nightread.analyse")
    events.send("task-started", uuid="b")
    finish_batch(events, shown(*outcomes), "b")
    for clock, event in enumerate(events.sent):
        seen.event({"hostname": "h", "timestamp": clock, "local_received": clock, "clock": clock, **event})
    task = seen.tasks["b"]
    assert (task.state, task.name) == (state, name)
    assert task.result == repr(shown(*outcomes))
    assert (task.exception is not None) == (state == "FAILURE")


@pytest.mark.parametrize("result", ["{'done': 1, 'trun", "None", "[1]"])
def test_a_result_that_cannot_be_read_is_a_success_as_for_celery(result: str) -> None:
    """A wrong guess would be worse than Celery's word."""
    events = CollectedEvents()

    class _Shown:
        def __repr__(self) -> str:
            return result

    finish_batch(events, _Shown())
    assert [event["type"] for event in events.sent] == ["task-succeeded"]
