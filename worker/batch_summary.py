"""Summarize a batch for people: the result, state and name of its task in Flower.

The result is what `analyse_batch` returns, for example `{'done': 62, 'failed': 1, 'put back': 1, 'killed_worker': 1,
'still_arriving': 1, 'image_ids': [4711, 4712]}`. For Celery, each task that returns is a success. Here the outcomes of
the images decide which event is sent instead.
"""

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from db.ledger import Outcome
from db.tables import State
from nightread.contract import ANALYSE_TASK, IMAGE_IDS
from nightread.reasons import Fault, Reason

PUT_BACK = "put back"
"""The word for images that wait again; the database says `received`."""
_LISTED_IMAGES = 16
"""Maximum number of image ids in a result; with more, it lists none. Celery truncates a long result, which then cannot
be parsed."""
_WITHOUT_RESULT = (State.FAILED, State.REJECTED, State.RECEIVED)
_WITH_RESULT = (State.DONE, State.DUPLICATE, State.EXPANDED)
_DEFECTIVE = [reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE]


class TaskEvent(NamedTuple):
    """The event that ends a task in Flower, and the name that Flower then shows for the task."""

    type: str
    name: str


DONE = TaskEvent("task-succeeded", ANALYSE_TASK)
FAILED = TaskEvent("task-failed", f"{ANALYSE_TASK}.failed")
SOME_FAILED = TaskEvent("task-some_failed", f"{ANALYSE_TASK}.some_failed")
RETRIED = TaskEvent("task-retried", f"{ANALYSE_TASK}.put_back")
OUT_OF_SCOPE = TaskEvent("task-out_of_scope", f"{ANALYSE_TASK}.out_of_scope")
EMPTY = TaskEvent("task-empty", f"{ANALYSE_TASK}.empty")


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchResult:
    """The outcomes of the images of one batch, as counts, and the ids of images that need attention."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """Numbers of images: by state, by reason (images without a result), and `with_remark` (images with a remark)."""
    image_ids: Sequence[int] = ()
    """Ids of the images that failed, are defective or wait again; empty if they are more than 16. The id of the only
    image of a batch is always listed."""

    def in_words(self) -> dict[str, Any]:
        """Return the result of the task, with `put back` instead of the state `received`."""
        words = {PUT_BACK if word == State.RECEIVED else word: number for word, number in self.counts.items()}
        return {**words, IMAGE_IDS: [*self.image_ids]} if self.image_ids else words


def summarize(recorded: Mapping[str, int], outcomes: Sequence[Outcome]) -> BatchResult:
    """Summarize a batch. `recorded` is the number of recorded images by state.

    If nothing was recorded, other processes have the images now, and the result is empty.
    """
    if not recorded:
        return BatchResult()
    troubled = [outcome for outcome in outcomes if outcome.state in _WITHOUT_RESULT]
    reasons = Counter(outcome.reason.value for outcome in troubled if outcome.reason)
    remarks = sum(outcome.remarks is not None for outcome in outcomes)
    listed = [o for o in troubled if o.reason is None or o.reason.fault is not Fault.OUT_OF_SCOPE]
    image_ids = [outcome.instance_id for outcome in (outcomes if len(outcomes) == 1 else listed)]
    return BatchResult(
        counts={**dict(sorted(recorded.items())), **reasons, **({"with_remark": remarks} if remarks else {})},
        image_ids=image_ids if len(image_ids) <= _LISTED_IMAGES else (),
    )


def task_event(shown: str) -> TaskEvent:
    """Choose the event for the result of a task. `shown` is the result as text, which Celery makes for its own event.

    A result that cannot be read counts as a success, as in Celery.
    """
    try:
        result = ast.literal_eval(shown)
    except (ValueError, SyntaxError):
        return DONE
    return _event(result) if isinstance(result, dict) else DONE


def _event(result: Mapping[str, Any]) -> TaskEvent:
    with_result = any(state in result for state in _WITH_RESULT)
    if State.FAILED in result or (State.REJECTED in result and any(word in result for word in _DEFECTIVE)):
        return SOME_FAILED if with_result else FAILED
    if with_result:
        return DONE
    if PUT_BACK in result:
        return RETRIED
    return OUT_OF_SCOPE if State.REJECTED in result else EMPTY
