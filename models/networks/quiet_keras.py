"""Keras, imported without the page that TensorFlow writes to standard error at every start."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from tempfile import TemporaryFile
from typing import Any


def import_keras() -> Any:
    """The module `keras`, its backend included. What is written meanwhile is shown only if the import fails.

    TensorFlow 2.21 writes these lines before it reads TF_CPP_MIN_LOG_LEVEL.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"]
    with _held_back():
        return import_module("keras")


@contextmanager
def _held_back() -> Iterator[None]:
    """Native code writes to the descriptor itself, which Python's sys.stderr knows nothing of."""
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
