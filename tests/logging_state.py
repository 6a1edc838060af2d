"""Restore the logging of this process: commands set it up for a whole process, and some tests call commands here."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logging_restored() -> Iterator[None]:
    """Remove the handlers that write to a stream, and restore the levels of the loggers that were there before.

    A handler that stays writes to the standard error of its own test, which is closed by then: each later line of the
    log would print a traceback instead. Handlers of pytest are left to pytest.
    """
    handlers = logging.root.handlers[:]
    levels = {logger: logger.level for logger in _loggers()}
    try:
        yield
    finally:
        for handler in logging.root.handlers[:]:
            if type(handler) is logging.StreamHandler and handler not in handlers:
                logging.root.removeHandler(handler)
        for logger, level in levels.items():
            if logger.level != level:
                logger.setLevel(level)


def _loggers() -> list[logging.Logger]:
    known = logging.root.manager.loggerDict.values()
    return [logging.root, *(logger for logger in known if isinstance(logger, logging.Logger))]
