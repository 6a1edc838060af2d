"""Handle requests in a process that makes pictures. Its standard input is the connection to the API."""

import json
import logging
import signal
import warnings
from collections.abc import Callable
from http import HTTPStatus
from multiprocessing.connection import Connection
from typing import Any

import cv2

from api.original_files import read_file
from api.pictures.picture import AnyRequest, NoPictureError, Picture, ProcessSettings
from api.pictures.reading import reasons_in_words

Make = Callable[[Any, bytes, ProcessSettings], Picture]
"""A function that makes the picture of a request from the bytes of the original."""


def set_up() -> None:
    """Turn off logs and warnings, and ignore Ctrl-C: the API handles it and closes the connection."""
    logging.disable()
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)  # other picture processes and the worker processes use the other cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even if a library is stuck in C code


def answer(connection: "Connection[Any, Any]", settings: ProcessSettings, make: Make) -> bool:
    """Answer the next request; return False if the API closed the connection or sent nothing for `idle_seconds`."""
    try:
        if not connection.poll(settings.idle_seconds):
            return False
        request: AnyRequest = connection.recv()
        data = connection.recv_bytes() if request.place.in_store else None
        signal.setitimer(signal.ITIMER_REAL, settings.seconds)
        header, content = _answer(request, data, settings, make)
        connection.send_bytes(json.dumps(header).encode())
        connection.send_bytes(content)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except (EOFError, ConnectionError):
        return False
    return True


def _answer(
    request: AnyRequest, data: bytes | None, settings: ProcessSettings, make: Make
) -> tuple[dict[str, Any], bytes]:
    try:
        with reasons_in_words():
            if data is None:
                data = read_file(request.place, max_bytes=settings.limits.file_bytes)
            picture = make(request, data, settings)
    except NoPictureError as error:
        return {"status": error.status.value, "detail": error.detail, "reason": error.reason}, b""
    except Exception as error:  # noqa: BLE001 - the text of an error may quote the file, so only its type is sent
        detail = f"An unexpected {type(error).__name__} occurred while the picture was made."
        return {"status": HTTPStatus.INTERNAL_SERVER_ERROR.value, "detail": detail, "reason": None}, b""
    return {"media_type": picture.media_type, "details": picture.details}, picture.content
