"""The Celery worker: `celery -A worker.app worker`, or `nightread worker` with the flags chosen for you."""

import logging
import os
import signal
import socket
from dataclasses import dataclass
from typing import Any, NoReturn
from uuid import uuid4

from billiard.process import current_process
from celery.signals import setup_logging, worker_init, worker_process_init, worker_ready, worker_shutdown
from sqlalchemy.exc import SQLAlchemyError

from db import error_messages, ledger
from db.engine import Database, open_database
from db.ledger import WorkerProcess
from nightread import __version__
from nightread.clock import utc_now
from nightread.contract import ANALYSE_TASK, BatchMessage
from nightread.errors import StopWork
from nightread.hardware import device_name, slots
from nightread.log import set_up_logging
from nightread.notify import open_redis
from nightread.queue import make_celery
from nightread.settings import load_settings
from worker.errors import BatchTakenError, NetworkBrokenError
from worker.isolation.in_flight import InFlightTable
from worker.lifecycle.node_lock import lock_node_name
from worker.lifecycle.startup_recovery import recover_from_previous_start
from worker.lifecycle.watchdog import Watchdog

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 10

settings = load_settings()
app = make_celery(settings.require_redis_url(), settings)


@dataclass(kw_only=True)
class _Worker:
    """What the parent knows, and the desk that each child opens for itself: TensorFlow is never in the parent."""

    node: str = ""
    boot_id: str = ""
    in_flight_table: InFlightTable | None = None
    context: Any = None
    node_lock: Any = None


_worker = _Worker()


class BatchFailedError(Exception):
    """What Flower and the log may say of a batch that went wrong: its id and the class of the error."""


@app.task(name=ANALYSE_TASK)  # type: ignore[untyped-decorator]
def analyse_batch(**message: Any) -> dict[str, int]:
    """Analyse one batch; the result is the number of its images by state."""
    from worker.analyse import analyse  # noqa: PLC0415 - imported in the child, once

    batch_id = BatchMessage.from_kwargs(**message).batch_id
    try:
        counts = analyse(_worker.context, batch_id)
    except BatchTakenError:
        log.warning("the batch's lease ran out: others have its images", extra={"batch": batch_id})
        return {}
    except SQLAlchemyError as error:
        trouble = error_messages.describe(error)
        log.exception("batch not recorded, it goes back when its lease ends: %s", trouble, extra={"batch": batch_id})
        raise BatchFailedError(f"batch {batch_id}: {type(error).__name__}") from None
    except StopWork as error:
        _refuse_work(str(error))
    except NetworkBrokenError:
        log.exception("the network failed", extra={"batch": batch_id})
        _refuse_work("the network, which ran when it was loaded, failed; the line before says where")
    except Exception:
        log.exception("batch not finished: this process ends, and the next gives it back", extra={"batch": batch_id})
        os._exit(1)
    log.info("batch analysed", extra={"batch": batch_id, **counts})
    return counts


@setup_logging.connect  # type: ignore[untyped-decorator]
def _log_ids_only(**_: Any) -> None:
    set_up_logging(settings.log_format, settings.log_level)


@worker_init.connect  # type: ignore[untyped-decorator]
def _name_this_start(sender: Any, **_: Any) -> None:
    _worker.node = str(getattr(sender, "hostname", None) or socket.gethostname())
    _worker.boot_id = str(uuid4())
    try:
        _worker.node_lock = lock_node_name(_worker.node, settings.sql_url)
    except StopWork as error:
        log.critical("this worker cannot work: %s", error)
        os._exit(1)
    _worker.in_flight_table = InFlightTable()
    recover_from_previous_start(settings, node=_worker.node, boot_id=_worker.boot_id)


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _open_context(**_: Any) -> None:
    import worker.analyse  # noqa: F401, PLC0415 - before open_context leaves what is there out of collections
    from worker.context import open_context  # noqa: PLC0415 - Keras and TensorFlow belong to the child

    index = getattr(current_process(), "index", 0)
    process = WorkerProcess(node=_worker.node, boot_id=_worker.boot_id, index=index)
    try:
        in_flight_table = _worker.in_flight_table or InFlightTable()
        slot = in_flight_table.slot(index)
        _worker.context = open_context(settings, settings.require_redis_url(), process, slot)
        slot.mark_ready()
    except StopWork as error:
        _refuse_work(str(error))
    except Exception:
        log.exception("this process could not start")
        _refuse_work("starting a process failed; the line before says where")


@worker_ready.connect  # type: ignore[untyped-decorator]
def _start_heartbeat(sender: Any, **_: Any) -> None:
    """Beat from the parent's own loop: a thread that talks SQL while the pool forks could leave a lock behind."""
    database = open_database(settings.sql_url)
    _send_heartbeat(database)
    sender.timer.call_repeatedly(HEARTBEAT_SECONDS, _send_heartbeat, (database,))
    in_flight_table = _worker.in_flight_table or InFlightTable()
    redis = open_redis(settings.require_redis_url())
    watchdog = Watchdog(database, redis, node=_worker.node, seconds_at_work=in_flight_table.seconds_at_work)
    sender.timer.call_repeatedly(HEARTBEAT_SECONDS, _watch, (watchdog,))


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _deregister(**_: Any) -> None:
    database = open_database(settings.sql_url)
    try:
        ledger.deregister(database, node=_worker.node, boot_id=_worker.boot_id)
    except SQLAlchemyError as error:
        log.warning("could not sign off: %s", error_messages.describe(error))
    except StopWork as error:
        log.warning("could not sign off: %s", error)


def _refuse_work(why: str) -> NoReturn:
    """End child and parent: Celery would go on with a process that has no desk, or replace it for ever."""
    log.critical("this worker cannot work: %s", why)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(1)


def _send_heartbeat(database: Database) -> None:
    processes = slots(settings)
    ready = _worker.in_flight_table.ready_processes() if _worker.in_flight_table else 0
    try:
        ledger.heartbeat(
            database,
            node=_worker.node,
            boot_id=_worker.boot_id,
            slots=processes,
            starting=max(0, processes - ready),
            device=device_name(settings),
            release=__version__,
            now=utc_now(),
        )
    except SQLAlchemyError as error:
        log.warning("heartbeat not written: %s", error_messages.describe(error))
    except StopWork as error:
        _end_in_order(str(error))


def _watch(watchdog: Watchdog) -> None:
    try:
        watchdog.look(utc_now())
    except StopWork as error:
        _end_in_order(str(error))


def _end_in_order(why: str) -> None:
    log.critical("this worker cannot work: %s", why)
    os.kill(os.getpid(), signal.SIGTERM)
