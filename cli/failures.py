"""Print what an error means, and choose the exit code of the command."""

from io import StringIO

import click
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from cli.output.console import err, show_error
from db import error_messages
from nightread.errors import StopWork, UsageFault
from nightread.log import place_of

EXTRAS = {
    **dict.fromkeys(("fastapi", "limits", "python_multipart", "starlette", "uvicorn"), "api"),
    **dict.fromkeys(("matplotlib", "onnx", "scipy", "sklearn", "tf2onnx"), "train"),
    **dict.fromkeys(("h5py", "keras", "tensorflow"), "tensorflow"),
    **dict.fromkeys(("cv2", "imagecodecs", "onnxruntime", "pydicom"), "worker"),
    "psycopg": "postgres",
    **dict.fromkeys(("highdicom", "pynetdicom", "urllib3"), "stores"),
}
"""By Python package: the extra of nightread that installs the package, such as `worker` for `pydicom`."""


def show_failure(error: Exception) -> int:
    """Print the error on standard error, and return the exit code: 2 if the user can remove the cause, 70 for a bug."""
    match error:
        case click.ClickException():
            _show_usage(error)
            return error.exit_code
        case UsageFault() | StopWork():
            for line in str(error).split("\n"):
                show_error(line)
        case ValidationError():
            for problem in error.errors():
                setting = ".".join(str(part) for part in problem["loc"]).upper() or "SETTINGS"
                show_error(f"NIGHTREAD_{setting}: {problem['msg']}")
        case ModuleNotFoundError():
            extra = EXTRAS.get((error.name or "").partition(".")[0], "dev")
            install = f"run `pip install 'nightread[{extra}]'`"
            show_error(f"This command needs {error.name}, which is not installed: {install}.")
        case SQLAlchemyError():
            show_error(f"The database failed: {error_messages.describe(error)}.")
        case _:  # the text of an error may quote a file or a row, so only its place is shown
            show_error(f"Unexpected {type(error).__name__} at {place_of(error)}. Please report this bug.")
            return 70
    return 2


def _show_usage(error: click.ClickException) -> None:
    """Print click's message through the console, because arguments may contain control characters."""
    message = StringIO()
    error.show(message)
    for line in message.getvalue().removesuffix("\n").split("\n"):
        err.print(line)
