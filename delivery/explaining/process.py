"""Explain findings: `python -m delivery.explaining.process`, started by delivery.explaining.explainer.

This process loads networks and decodes images. If an image kills it, or memory leaks, the delivery goes on without it.
Standard input is the connection to the delivery. The process ends when the delivery closes the connection or dies.
"""

import logging
import signal
import warnings
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

import cv2

from delivery.evidence import NoRegions
from delivery.explaining.messages import Explained, ExplainRequest
from delivery.explaining.result_explainer import ResultExplainer
from nightread.core_dumps import forbid_core_dumps
from nightread.hardware import quiet_tensorflow
from nightread.settings import Settings


def serve(connection: "Connection[Any, Any]") -> None:
    """Answer each request, until the delivery closes the connection. The first message is the settings."""
    settings: Settings = connection.recv()
    explainer = ResultExplainer(settings)
    while True:
        request: ExplainRequest = connection.recv()
        connection.send(_explained(explainer, request))


def _explained(explainer: ResultExplainer, request: ExplainRequest) -> Explained:
    try:
        return explainer.explain(request)
    except Exception as error:  # noqa: BLE001 - libraries raise exceptions of any type for odd images
        sentence = f"A finding could not be explained ({type(error).__name__})."
        return Explained(no_regions=NoRegions.FAILED, left_out=(sentence,))


if __name__ == "__main__":
    logging.disable()  # messages about an image may quote its header
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    forbid_core_dumps()
    quiet_tensorflow()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the delivery handles Ctrl-C and closes the connection
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        serve(Connection(0))
