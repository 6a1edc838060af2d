"""Format log lines, so that they hold ids but no patient data."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

from nightread.plain_text import visible

_SEPARATOR = re.compile(r'[\s="]')
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats each log line as one JSON object: time, level, logger, event and the ids that were given with `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one line. The text of an exception is left out, since it may quote a file or a header."""
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
    """Formats log lines for people: `22:14:03Z INFO    worker.analyse: batch analysed batch=... images=64`.

    An event is always one line. A value with spaces or `=` is quoted, so that it is not read as several values.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Format one line, without the text of an exception."""
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%SZ")
        fields = " ".join(
            f"{visible(name)}={_quoted(value)}" for name, value in (_ids(record) | _raised(record)).items()
        )
        event = visible(record.getMessage())
        return f"{clock} {record.levelname:<7} {record.name}: {event} {fields}".rstrip()


def set_up_logging(style: Literal["text", "json"], level: str) -> None:
    """Send all log lines of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Warnings and debug lines of these libraries quote values of files, messages and addresses.
    for name in ("pydicom", "kombu", "PIL", "h5py", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # nightread logs one line per batch with its counts; Celery would add two more.
    for name in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(name).setLevel(logging.WARNING)


def place_of(error: BaseException) -> str:
    """Return module and line where the error was raised. Nothing else of an error may leave the process."""
    return _place(error.__traceback__)


def _ids(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _STANDARD and name != "data"}


def _quoted(value: object) -> str:
    text = visible(str(value))
    return f'"{text.replace(chr(34), chr(39))}"' if _SEPARATOR.search(text) else text


def _raised(record: logging.LogRecord) -> dict[str, object]:
    """Return class and place of an exception, never its text."""
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    return {"error": record.exc_info[0].__name__, "at": _place(record.exc_info[2])}


def _place(trace: TracebackType | None) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
