"""Log lines that carry ids only."""

import json
import logging
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, process, event and the ids given with `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format without the exception's text, which may quote a file or a header."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_ids(record),
            **_raised(record),
        }
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """`22:14:03 worker INFO  batch analysed batch=... images=64`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format for a terminal, without the exception's text."""
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%SZ")
        fields = " ".join(f"{name}={value}" for name, value in (_ids(record) | _raised(record)).items())
        return f"{clock} {record.levelname:<7} {record.name}: {record.getMessage()} {fields}".rstrip()


def set_up_logging(style: Literal["text", "json"], level: str) -> None:
    """Send all log lines of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # pydicom's warnings and kombu's and urllib3's debug lines quote values of files, messages and addresses.
    for name in ("pydicom", "kombu", "PIL", "h5py", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # One line a batch is ours, with its counts; Celery would add two.
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)


def place_of(error: BaseException) -> str:
    """Module and line where it was raised: all of an error that may leave the process."""
    return _place(error.__traceback__)


def _ids(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD and name != "data"}


def _raised(record: logging.LogRecord) -> dict[str, object]:
    """Name an exception by its class and the line of our code, never by its text."""
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    return {"error": record.exc_info[0].__name__, "at": _place(record.exc_info[2])}


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
