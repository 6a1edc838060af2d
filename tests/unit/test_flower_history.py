"""Flower's history keeps the latest attempt at an image that waits, and everything else."""

from typing import Any

import pytest
from celery.events.state import State

from cli.embedded.flower_history import image_ids, remove_earlier_attempts


def history(*batches: tuple[str, str, str]) -> State:
    """Return the state of Celery's events after these batches: id, last event, result."""
    state = State()
    for clock, (uuid, kind, result) in enumerate(batches):
        for event_type, fields in (("task-received", {"name": "a"}), (kind, {"result": result})):
            event: dict[str, Any] = {"type": event_type, "uuid": uuid, "hostname": "h", "clock": clock, **fields}
            event |= {"timestamp": clock, "local_received": clock}
            remove_earlier_attempts(state, event)
            state.event(event)
    return state


def test_of_one_waiting_image_the_latest_attempt_stays() -> None:
    """Eight attempts are one row, which says how many came before."""
    state = history(*[(f"try{n}", "task-retried", "{'put back': 1, 'image_ids': [7]}") for n in range(8)])
    assert list(state.tasks) == ["try7"]
    assert state.tasks["try7"].retries == 7


def test_attempts_at_other_images_and_other_states_stay() -> None:
    """Only rows that were put back and all of whose images were tried again are removed."""
    state = history(
        ("failed", "task-failed", "{'failed': 1, 'image_ids': [7]}"),
        ("other", "task-retried", "{'put back': 1, 'image_ids': [8]}"),
        ("many", "task-retried", "{'put back': 40}"),
        ("both", "task-retried", "{'put back': 2, 'image_ids': [7, 9]}"),
        ("one", "task-retried", "{'put back': 1, 'image_ids': [7]}"),
    )
    assert list(state.tasks) == ["failed", "other", "many", "both", "one"]


def test_a_row_goes_when_the_last_of_its_images_was_tried_again() -> None:
    """They may be tried in several batches, and may fail at last."""
    state = history(
        ("both", "task-retried", "{'put back': 2, 'image_ids': [7, 9]}"),
        ("one", "task-retried", "{'put back': 1, 'image_ids': [7]}"),
        ("end", "task-failed", "{'failed': 1, 'image_ids': [9]}"),
    )
    assert list(state.tasks) == ["one", "end"]


@pytest.mark.parametrize(
    "result", [None, "", "{'image_ids': ", "{'image_ids': 7}", "{'image_ids': ['x']}", "image_ids"]
)
def test_a_result_that_cannot_be_read_lists_no_image(result: str | None) -> None:
    """Other programs may send events too."""
    assert image_ids(result) == frozenset()
