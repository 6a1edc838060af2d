"""Import Keras without the log lines that TensorFlow writes to standard error at each start."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from tempfile import TemporaryFile
from typing import Any


def import_keras() -> Any:
    """Import and return `keras` with its backend. Output on standard error is shown only if the import fails.

    The variable TF_CPP_MIN_LOG_LEVEL does not hide this output: TensorFlow 2.21 writes it before it reads the variable.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"]
    with captured_stderr():
        return import_module("keras")


@contextmanager
def captured_stderr() -> Iterator[None]:
    """Capture standard error, and show it only if an exception is raised.

    File descriptor 2 is redirected, because native code writes to it directly and not through sys.stderr of Python.
    """
    sys.stderr.flush()
    before = os.dup(2)
    with TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(before, 2)
            written.seek(0)
            sys.stderr.write(written.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)
