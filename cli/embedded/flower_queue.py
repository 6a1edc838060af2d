"""Show in Flower, as a line and as a page, what waits, whether dispatch is paused, and if the dispatcher is alive."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flower.views import BaseHandler
from redis import Redis
from redis.exceptions import RedisError
from tornado import web
from tornado.ioloop import IOLoop

from nightread.queue_report import AgedReport, PauseReport, QueueReport, read_queue_report
from nightread.wording import counted, duration

_SILENT_SECONDS = 15.0
"""The dispatcher counts as silent if its report is older than three times its interval plus these seconds."""
_CAUSES = {"person": "a person", "breaker": "the circuit breaker", "disk": "a full disk"}
GOOD, WARNING, BAD = "success", "warning", "danger"
"""Names of colours in Bootstrap, which Flower uses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueView:
    """What Flower shows about the queue."""

    level: str
    line: str
    """The line that every page of Flower shows: how many images wait, or the worst problem."""
    facts: tuple[tuple[str, str], ...] = ()
    """Names and values for the page of the queue."""
    next_step: str = ""
    """What a person should do."""


def view_of(aged: AgedReport | None) -> QueueView:
    """Describe the latest report of the dispatcher; the worst problem decides the line and its colour."""
    if aged is None:
        return QueueView(
            level=BAD,
            line="No dispatcher has reported: images that arrive stay in the database.",
            next_step="Start nightread dispatch, then run nightread status.",
        )
    report, age = aged
    numbers = _numbers(report)
    facts = (*_facts(report), ("Reported", f"{duration(age)} ago"))
    if age > 3 * report.next_seconds + _SILENT_SECONDS:
        line = f"The dispatcher has been silent for {duration(age)}: no batch is formed. Last known: {numbers}."
        return QueueView(level=BAD, line=line, facts=facts, next_step="Restart the dispatcher, and read its log.")
    if report.is_paused:
        since = min(pause.since for pause in report.pauses if pause.source_id is None)
        line = f"Dispatch is PAUSED since {since:%a %H:%M} UTC by {_causes(report)}: {numbers}."
        return QueueView(level=BAD, line=line, facts=facts, next_step="Run nightread status: it says why.")
    if report.processes == 0:
        line = f"No worker is alive: {numbers}."
        level = BAD if report.waiting or report.in_batches else WARNING
        return QueueView(level=level, line=line, facts=facts, next_step="Start nightread worker, and read its log.")
    if report.pauses:
        held = counted(len({pause.source_id for pause in report.pauses}), "source is", "sources are")
        line = f"{held} PAUSED; all other sources continue: {numbers}."
        return QueueView(level=WARNING, line=line, facts=facts, next_step="Run nightread status: it says why.")
    return QueueView(level=GOOD, line=f"Dispatch is running: {numbers}.", facts=facts)


def _numbers(report: QueueReport) -> str:
    waiting = counted(report.waiting - report.postponed, "image waits", "images wait")
    later = f", {report.postponed:,} for a later time" if report.postponed else ""
    return f"{waiting} for a batch{later}, {report.in_batches:,} in batches"


def _causes(report: QueueReport) -> str:
    causes = sorted({_CAUSES.get(pause.cause, pause.cause) for pause in report.pauses if pause.source_id is None})
    return " and ".join(causes)


def _facts(report: QueueReport) -> Iterator[tuple[str, str]]:
    yield "Images that wait for a batch", f"{report.waiting - report.postponed:,}"
    yield "Images that wait for a later time", f"{report.postponed:,}"
    yield "Images in batches", f"{report.in_batches:,}"
    yield "Batches in the queue", f"{report.batches_published:,}"
    yield "Batches being analysed", f"{report.batches_claimed:,}"
    yield "Processes of live workers", f"{report.processes:,}"
    for pause in report.pauses:
        yield "Paused", _pause_line(pause)


def _pause_line(pause: PauseReport) -> str:
    what = "all images" if pause.source_id is None else f"the source with id {pause.source_id}"
    return f"{what}, by {_CAUSES.get(pause.cause, pause.cause)}, since {pause.since:%Y-%m-%d %H:%M} UTC"


def read_view(redis: Redis) -> QueueView:
    """Read the latest report of the dispatcher from Redis and describe it."""
    try:
        return view_of(read_queue_report(redis))
    except (RedisError, OSError):
        line = "Redis does not answer: nothing on these pages is current."
        return QueueView(level=BAD, line=line, next_step="Start Redis. Images that arrive stay in the database.")
    except (ValueError, TypeError, LookupError):
        line = "The report of the dispatcher cannot be read: dispatcher and Flower are of different releases."
        return QueueView(level=BAD, line=line, next_step="Restart both with the same release.")


class QueueHandler(BaseHandler):  # type: ignore[misc]
    """Serves the view of the queue, after the login, and changes nothing."""

    def initialize(self, redis: Redis) -> None:
        """Keep the client of Redis."""
        self._redis = redis

    async def _view(self) -> QueueView:
        # In a thread: a broken Redis may need seconds until it answers, and the other pages must not wait for it.
        return await IOLoop.current().run_in_executor(None, read_view, self._redis)


class QueuePage(QueueHandler):
    """Serves the page of the queue."""

    @web.authenticated
    async def get(self) -> None:
        """Render the page."""
        self.render("queue.html", view=await self._view())


class QueueLine(QueueHandler):
    """Serves the line that every page shows, as JSON; programs may read it too."""

    @web.authenticated
    async def get(self) -> None:
        """Write the view as JSON."""
        view = await self._view()
        answer: dict[str, Any] = {"level": view.level, "line": view.line, "next_step": view.next_step}
        self.write(answer)
