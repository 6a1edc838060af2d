"""Render pictures: `python -m api.pictures.render_process`, started by api.pictures.process.

This process imports the code that reads images, and forks a child for each request in advance. The child handles one
request and ends. So a file that corrupts the memory of the child cannot change how the next file is read.
"""

import os
import signal
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from api.pictures.child import answer, set_up
from api.pictures.drawing import draw
from api.pictures.exit_codes import ANSWERED, CLOSED, DIED, TIMED_OUT
from api.pictures.picture import Picture, PictureRequest, ProcessSettings
from nightread.process_limits import die_with_parent, limit_memory


def serve(connection: "Connection[Any, Any]") -> int:
    """Let one child after the other handle a request, until a child ends without a response.

    Return the exit code with which this process must end.
    """
    settings: ProcessSettings = connection.recv()
    code = ANSWERED
    while code == ANSWERED:
        if (pid := os.fork()) == 0:
            _answer_one(connection, settings)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == -signal.SIGALRM:
        return TIMED_OUT
    return CLOSED if code == CLOSED else DIED


def _answer_one(connection: "Connection[Any, Any]", settings: ProcessSettings) -> NoReturn:
    code = DIED
    try:
        die_with_parent()
        limit_memory(settings.memory_bytes)
        code = ANSWERED if answer(connection, settings, _draw) else CLOSED
    finally:
        os._exit(code)


def _draw(request: PictureRequest, data: bytes, settings: ProcessSettings) -> Picture:
    return draw(request, data, settings.limits)


if __name__ == "__main__":
    die_with_parent()
    set_up()
    os._exit(serve(Connection(0)))  # without the shutdown of the interpreter, which can take seconds
