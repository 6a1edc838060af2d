"""Wait until a re-run is finished: running workers analyse it, or a pipeline that this command starts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

from redis.exceptions import RedisError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from cli.embedded.pipeline import pipeline
from cli.embedded.redis_url import redis_url_of
from cli.embedded.state_folder import locked_state_folder
from cli.output.console import err
from cli.run import RUN_SETTINGS
from cli.wording import counted
from db import queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.errors import StopWork, UsageFault
from nightread.notify import notify_dispatcher, open_redis
from nightread.settings import Settings

_LOOK_SECONDS = 0.5

Show = Callable[[int], None]
"""A function that shows the progress; it is called with the number of unfinished rows."""


def is_served(settings: Settings) -> bool:
    """Return whether other processes analyse the images of a re-run.

    These processes are services if the settings have a Redis URL, else a running `up` or `run` with this state folder.
    """
    if not settings.embedded_redis:
        return True
    try:
        with locked_state_folder(settings.state_dir):
            return False
    except UsageFault:
        return True


def analyse_here(settings: Settings, bundle_ids: list[int], total: int) -> None:
    """Run dispatcher, Redis and worker until no row of these bundles is unfinished, and all series are formed.

    Raises StopWork and UsageFault.
    """
    own = settings.model_copy(
        update={name: value for name, value in RUN_SETTINGS.items() if name not in settings.model_fields_set}
    )
    with pipeline(own, with_worker=True, report=_report) as line, _progress(total) as show:
        line.drain_until(
            lambda: queries.unfinished_reruns(line.database, bundle_ids),
            show,
            goes_on=lambda unfinished: unfinished > 0 or line.forms_series(),
        )
        line.stop_worker()


def require_no_waiting_arrivals(database: Database, settings: Settings) -> None:
    """Raise UsageFault if images wait for their first analysis, and no setting or rule names a model for them."""
    waiting = queries.unfinished(database)
    if waiting and settings.model is None and not queries.routes_in_force(database):
        raise UsageFault(
            f"{counted(waiting, 'image is', 'images are')} still waiting for the first analysis, and no routing rule "
            "names a model. Finish these images first with `nightread run PATH --model NAME`, or start `nightread up`."
        )


def wait_for_workers(database: Database, settings: Settings, bundle_ids: list[int], total: int) -> None:
    """Wait until running workers have analysed all rows for these bundles."""
    _notify(settings)
    if not any(worker.alive and not worker.draining for worker in queries.workers(database, now=utc_now())):
        err.print("No worker is running: the images wait until a worker starts.", style="yellow")
    pause = Event()
    with _progress(total) as show:
        while unfinished := queries.unfinished_reruns(database, bundle_ids):
            show(unfinished)
            pause.wait(_LOOK_SECONDS)


def _notify(settings: Settings) -> None:
    """Notify the dispatcher; without a notification, it looks at the database within a second."""
    try:
        with open_redis(redis_url_of(settings)) as redis:
            notify_dispatcher(redis)
    except (RedisError, StopWork, OSError):
        err.print("Redis does not answer: the dispatcher finds the images when Redis answers again.", style="yellow")


@contextmanager
def _progress(total: int) -> Iterator[Show]:
    columns = (SpinnerColumn(), TextColumn("analysing again"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=total)

        def show(unfinished: int) -> None:
            most = max(total, unfinished)
            bar.update(task, total=most, completed=most - unfinished)

        yield show


def _report(event: str) -> None:
    err.print(event, markup=False)
