"""Keep the history of Flower short: if images are tried again, show only the latest attempt."""

import ast
from typing import Any

from celery import states
from flower.events import Events

from nightread.contract import IMAGE_IDS


class TidyEvents(Events):  # type: ignore[misc]
    """Collects the events that Flower shows, and removes earlier attempts at the same images."""

    def on_event(self, event: dict[str, Any]) -> None:
        """Pass an event from the thread that reads Redis to the thread that serves the pages."""
        self.io_loop.add_callback(self._apply, event)

    def _apply(self, event: dict[str, Any]) -> None:
        remove_earlier_attempts(self.state, event)
        self.state.event(event)


def remove_earlier_attempts(state: Any, event: dict[str, Any]) -> None:
    """Remove each earlier task whose images are to be retried, if later tasks have tried all these images again.

    `state` is flower.events.EventsState, and `event` is the event of the latest task. The number of earlier attempts
    becomes `retries` of the event.
    """
    tried = image_ids(event.get("result"))
    if not tried:
        return
    put_back = [task for _, task in state.tasks.items() if task.state == states.RETRY and task.uuid != event["uuid"]]
    for task in sorted(put_back, key=lambda task: task.timestamp or 0, reverse=True):
        images = image_ids(task.result)
        if images and images <= tried:
            event["retries"] = max(event.get("retries") or 0, (task.retries or 0) + 1)
            _remove(state, task.uuid)
        tried |= images


def image_ids(result: object) -> frozenset[int]:
    """Return the ids of the images that the result of a batch lists; none if it cannot be read."""
    if not isinstance(result, str) or IMAGE_IDS not in result:
        return frozenset()
    try:
        return frozenset(int(number) for number in ast.literal_eval(result)[IMAGE_IDS])
    except (ValueError, SyntaxError, TypeError, LookupError):
        return frozenset()


def _remove(state: Any, uuid: str) -> None:
    state.tasks.pop(uuid, None)
    if search := getattr(state, "search_engine", None):  # Flower 2.0 has no search engine
        search.remove(uuid)
