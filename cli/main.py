"""Define `nightread`, its list of commands, and the exit codes for errors."""

import os
import sys
from io import StringIO
from typing import ClassVar

import click
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from cli.lazy import LazyGroup
from cli.output.console import err, show_error
from db import error_messages
from nightread import __version__
from nightread.core_dumps import forbid_core_dumps
from nightread.errors import StopWork, UsageFault
from nightread.log import place_of

_EXTRAS = {
    **dict.fromkeys(("fastapi", "limits", "python_multipart", "starlette", "uvicorn"), "api"),
    **dict.fromkeys(("matplotlib", "onnx", "scipy", "sklearn", "tf2onnx"), "train"),
    **dict.fromkeys(("h5py", "keras", "tensorflow"), "tensorflow"),
    **dict.fromkeys(("cv2", "imagecodecs", "onnxruntime", "pydicom"), "worker"),
    "psycopg": "postgres",
    **dict.fromkeys(("highdicom", "pynetdicom", "urllib3"), "stores"),
}
"""The extra that installs a package, by package."""


class _Commands(LazyGroup):
    modules: ClassVar[dict[str, str]] = {
        "run": "cli.run",
        "up": "cli.up",
        "demo": "cli.demo",
        "status": "cli.status",
        "metrics": "cli.metrics",
        "query": "cli.query",
        "trace": "cli.trace",
        "report": "cli.report",
        "models": "cli.models",
        "labels": "cli.labels",
        "explain": "cli.explain",
        "preview": "cli.preview",
        "retry": "cli.retry",
        "purge": "cli.purge",
        "opt-out": "cli.opt_out",
        "pause": "cli.pause",
        "resume": "cli.pause",
        "audit": "cli.audit",
        "doctor": "cli.doctor",
        "settings": "cli.settings",
        "watch": "cli.services",
        "receive": "cli.receive",
        "receipts": "cli.receipts",
        "poll": "cli.poll",
        "send-results": "cli.send_results",
        "deliveries": "cli.deliveries",
        "watchdog": "cli.watchdog",
        "alarms": "cli.alarms",
        "result-rules": "cli.result_rules",
        "dispatch": "cli.services",
        "worker": "cli.services",
        "flower": "cli.services",
        "api": "cli.api",
        "keys": "cli.keys",
        "db": "cli.db",
        "backup": "cli.backup",
        "restore": "cli.restore",
        "systemd": "cli.systemd",
    }


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nightread")
def cli() -> None:
    """Analyse medical images overnight and write one outcome per file to an SQL database.

    \b
    Try:   nightread demo
    Then:  nightread up --inbox ~/inbox --model phantom
           nightread status
           nightread query --label nodule
    """  # noqa: D301 - click reads the backspace itself


def main() -> None:
    """Run the command. Exit codes: 0 success, 1 something failed, 2 cannot work, 70 a bug, 130 Ctrl-C."""
    os.umask(0o077)  # files of this process and its children are patient data: only the owner may read them
    forbid_core_dumps()
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        _show_usage(error)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except (UsageFault, StopWork) as error:
        for line in str(error).split("\n"):
            show_error(line)
        sys.exit(2)
    except ValidationError as error:
        for problem in error.errors():
            setting = ".".join(str(part) for part in problem["loc"]).upper() or "SETTINGS"
            show_error(f"NIGHTREAD_{setting}: {problem['msg']}")
        sys.exit(2)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0], "dev")
        show_error(f"This command needs {error.name}, which is not installed: run `pip install 'nightread[{extra}]'`.")
        sys.exit(2)
    except SQLAlchemyError as error:
        show_error(f"The database failed: {error_messages.describe(error)}.")
        sys.exit(2)
    except Exception as error:  # noqa: BLE001 - the text of an error may quote a file or a row, so only its place is shown
        show_error(f"Unexpected {type(error).__name__} at {place_of(error)}. Please report this bug.")
        sys.exit(70)


def _show_usage(error: click.ClickException) -> None:
    """Print what click says of wrong arguments; an argument may be the name of a file that came from outside."""
    message = StringIO()
    error.show(message)
    for line in message.getvalue().removesuffix("\n").split("\n"):
        err.print(line)
