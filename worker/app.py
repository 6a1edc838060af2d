"""Define the Celery app of the worker and what happens when it starts, runs and stops.

Start it with `celery -A worker.app worker`, or with `nightread worker`, which chooses the flags. The parent process
consumes messages and sends heartbeats; each of its child processes loads the networks and analyses batches.
"""

import logging
import os
import signal
import socket
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import uuid4

from billiard.process import current_process
from celery.bootsteps import StartStopStep
from celery.signals import (
    setup_logging,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
)
from celery.worker import state
from sqlalchemy.exc import SQLAlchemyError

from db import error_messages, ledger
from db.clock_skew import seconds_ahead
from db.engine import Database, open_database
from db.ledger import WorkerProcess
from nightread import __version__
from nightread.clock import utc_now
from nightread.contract import ANALYSE_TASK, FORM_SERIES_TASK, VERSION, BatchMessage
from nightread.core_dumps import forbid_core_dumps
from nightread.errors import StopWork
from nightread.hardware import device_name, slots
from nightread.log import set_up_logging
from nightread.notify import open_redis
from nightread.queue import make_celery
from nightread.settings import load_settings
from worker.errors import BatchTakenError, NetworkBrokenError
from worker.isolation.in_flight import InFlightTable
from worker.lifecycle.drain import Drain
from worker.lifecycle.node_lock import lock_node_name
from worker.lifecycle.reported_model import ReportedModel
from worker.lifecycle.startup_recovery import recover_from_previous_start
from worker.lifecycle.wake_on_signal import wake_on_signal
from worker.lifecycle.watchdog import Watchdog
from worker.preload import preload

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10
DRAIN_CHECK_SECONDS = 2

forbid_core_dumps()
settings = load_settings()
app = make_celery(settings.require_redis_url(), settings)


@dataclass(kw_only=True)
class _Worker:
    """State of this process. The parent sets all fields except `context`, which each child opens after the fork.

    The parent never imports TensorFlow, which does not survive a fork.
    """

    node: str = ""
    boot_id: str = ""
    in_flight_table: InFlightTable | None = None
    reported_model: ReportedModel | None = None
    context: Any = None
    node_lock: Any = None


_worker = _Worker()


class BatchFailedError(Exception):
    """A batch failed. The message has only the batch id and the error class, because Flower and the log show it."""


@app.task(name=ANALYSE_TASK, Request="worker.batch_request:BatchRequest")  # type: ignore[untyped-decorator]
def analyse_batch(**message: Any) -> dict[str, Any]:
    """Analyse one batch, and return its summary as worker.batch_summary describes it."""
    from worker.analyse import analyse  # noqa: PLC0415 - `celery inspect` and Flower need none of it

    batch_id = BatchMessage.from_kwargs(**message).batch_id
    try:
        result = analyse(_worker.context, batch_id)
    except BatchTakenError:
        log.warning("lease of the batch expired: other processes analyse its images", extra={"batch": batch_id})
        return {}
    except SQLAlchemyError as error:
        description = error_messages.describe(error)
        log.exception(
            "the database failed during the batch, its images are analysed again: %s",
            description,
            extra={"batch": batch_id},
        )
        raise BatchFailedError(f"batch {batch_id}: {type(error).__name__}") from None
    except StopWork as error:
        _stop_worker(str(error))
    except NetworkBrokenError:
        log.exception("network failed", extra={"batch": batch_id})
        _stop_worker("a network failed after it was loaded; the log entry before this one shows the error")
    except Exception:
        log.exception(
            "batch not finished: this process exits and its successor requeues the images", extra={"batch": batch_id}
        )
        os._exit(1)
    log.info("batch analysed", extra={"batch": batch_id, **result.counts})
    return result.in_words()


@app.task(name=FORM_SERIES_TASK)  # type: ignore[untyped-decorator]
def form_series(*, v: int) -> dict[str, int]:
    """Form the series that are due, and return the counts of worker.series.form."""
    from worker.series.form import form_due_series  # noqa: PLC0415 - as in analyse_batch

    if v != VERSION:
        raise ValueError(f"message version {v} is not {VERSION}: dispatcher and worker are of different releases")
    try:
        return form_due_series(_worker.context)
    except SQLAlchemyError as error:
        description = error_messages.describe(error)
        log.exception("the database failed, series are formed again: %s", description)
        raise BatchFailedError(f"series: {type(error).__name__}") from None
    except StopWork as error:
        _stop_worker(str(error))


@setup_logging.connect  # type: ignore[untyped-decorator]
def _set_up_logging(**_: Any) -> None:
    set_up_logging(settings.log_format, settings.log_level)


@worker_init.connect  # type: ignore[untyped-decorator]
def _start_worker(sender: Any, **_: Any) -> None:
    """Lock the node name, recover the work of earlier starts, and import what the children need.

    This runs in the parent, before it forks.
    """
    _worker.node = str(getattr(sender, "hostname", None) or socket.gethostname())
    _worker.boot_id = str(uuid4())
    try:
        _worker.node_lock = lock_node_name(_worker.node, settings.sql_url)
    except StopWork as error:
        log.critical("this worker cannot work: %s", error)
        os._exit(1)
    _worker.in_flight_table = InFlightTable()
    _worker.reported_model = ReportedModel()
    recover_from_previous_start(settings, node=_worker.node, boot_id=_worker.boot_id)
    preload(settings)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _open_context(**_: Any) -> None:
    """Open the context of a new child process, which includes loading the networks."""
    import worker.analyse  # noqa: F401, PLC0415 - not preloaded with a GPU; before open_context calls freeze_gc
    from worker.context import open_context  # noqa: PLC0415 - as above

    index = getattr(current_process(), "index", 0)
    process = WorkerProcess(node=_worker.node, boot_id=_worker.boot_id, index=index)
    try:
        in_flight_table = _worker.in_flight_table or InFlightTable()
        slot = in_flight_table.slot(index)
        _worker.context = open_context(settings, settings.require_redis_url(), process, slot)
        _report_model()
        slot.mark_ready()
        log.info("worker process is ready", extra={"index": index})
    except StopWork as error:
        _stop_worker(str(error))
    except Exception:
        log.exception("worker process did not start")
        _stop_worker("a process did not start; the log entry before this one shows the error")


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _end_process(exitcode: int, **_: Any) -> None:
    """End this child process at once. All its results are sent, and Celery would only wait a second before the end."""
    os._exit(exitcode)


def _report_model() -> None:
    """Tell the parent the name and version of the bundle that analyses every image, if `--model` names one."""
    if settings.model is not None and _worker.reported_model:
        (reference,) = _worker.context.model_set.models
        _worker.reported_model.write(reference)


@worker_ready.connect  # type: ignore[untyped-decorator]
def _start_heartbeat(sender: Any, **_: Any) -> None:
    """Start the heartbeat and the watchdog on the timer of Celery's event loop in the parent.

    A thread would be unsafe: a fork during a database call could copy a held lock into the child.
    """
    database = open_database(settings.sql_url)
    _send_heartbeat(database)
    sender.timer.call_repeatedly(HEARTBEAT_SECONDS, _send_heartbeat, (database,))
    drain = Drain(database, sender, node=_worker.node, boot_id=_worker.boot_id)
    sender.timer.call_repeatedly(DRAIN_CHECK_SECONDS, _follow, (drain,))
    in_flight_table = _worker.in_flight_table or InFlightTable()
    redis = open_redis(settings.require_redis_url())
    watchdog = Watchdog(database, redis, node=_worker.node, seconds_at_work=in_flight_table.seconds_at_work)
    sender.timer.call_repeatedly(HEARTBEAT_SECONDS, _watch, (watchdog,))
    wake_on_signal(sender.hub)


class _NoteShutdown(StartStopStep):  # type: ignore[misc]
    """Notes in the database that a warm shutdown began. A heartbeat cannot report it: Celery's timers have stopped."""

    def stop(self, _consumer: Any) -> None:
        """Note the shutdown. Do nothing if the consumer stops only to connect again."""
        if state.should_stop is None:
            return
        database = open_database(settings.sql_url)
        try:
            ledger.note_shutdown(database, node=_worker.node, boot_id=_worker.boot_id, now=utc_now())
        except (SQLAlchemyError, StopWork) as error:
            log.warning("the shutdown was not noted in the database: %s", type(error).__name__)
        finally:
            database.close()


app.steps["consumer"].add(_NoteShutdown)


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _deregister(**_: Any) -> None:
    database = open_database(settings.sql_url)
    try:
        ledger.deregister(database, node=_worker.node, boot_id=_worker.boot_id)
    except SQLAlchemyError as error:
        log.warning("worker not deregistered: %s", error_messages.describe(error))
    except StopWork as error:
        log.warning("worker not deregistered: %s", error)


def _stop_worker(reason: str) -> NoReturn:
    """End this child process and its parent, because the worker cannot work.

    If only the child ended, Celery would replace it endlessly. Celery also gives batches to a child that could not open
    its context.
    """
    log.critical("this worker cannot work: %s", reason)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)


def _send_heartbeat(database: Database) -> None:
    processes = slots(settings)
    ready = _worker.in_flight_table.ready_processes() if _worker.in_flight_table else 0
    loaded = _worker.reported_model.read() if _worker.reported_model else None
    try:
        ledger.heartbeat(
            database,
            ahead_seconds=seconds_ahead(database),
            node=_worker.node,
            boot_id=_worker.boot_id,
            slots=processes,
            starting=max(0, processes - ready),
            model=loaded or settings.model,
            device=device_name(settings),
            release=__version__,
            now=utc_now(),
        )
    except SQLAlchemyError as error:
        log.warning("heartbeat not written: %s", error_messages.describe(error))
    except StopWork as error:
        _stop_from_parent(str(error))


def _follow(drain: Drain) -> None:
    try:
        drain.follow()
    except SQLAlchemyError as error:
        log.warning("the database could not be asked whether this worker drains: %s", error_messages.describe(error))
    except StopWork as error:
        _stop_from_parent(str(error))


def _watch(watchdog: Watchdog) -> None:
    try:
        watchdog.check(utc_now())
    except StopWork as error:
        _stop_from_parent(str(error))


def _stop_from_parent(reason: str) -> None:
    """End the worker from its parent process, with a warm shutdown: running batches finish."""
    log.critical("this worker cannot work: %s", reason)
    os.kill(os.getpid(), signal.SIGTERM)
