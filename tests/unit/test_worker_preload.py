"""The parent of the worker processes imports what they need, and stays fit to be forked."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from kombu.asynchronous import Hub

from worker.lifecycle.wake_on_signal import wake_on_signal

STARTS_THREADS = ("jax", "keras", "onnxruntime", "tensorflow", "torch")
PROBE = """
import gc, json, sys, threading
import psutil
from nightread.settings import load_settings
from worker.preload import preload
gc.disable()
preload(load_settings(device="cpu"))
threads = psutil.Process().num_threads()
print(json.dumps({"threads": threads, "collects": gc.isenabled(), "modules": list(sys.modules)}))
"""


def test_the_preloaded_modules_start_no_thread() -> None:
    """A fork copies only the thread that calls it, and a lock that another thread holds would stay locked."""
    shown = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout
    found = json.loads(shown)

    assert found["threads"] == 1
    assert found["collects"]
    assert {"worker.analyse", "worker.context", "cv2", "pydicom", "db.ledger.outcomes"} <= set(found["modules"])
    assert not set(STARTS_THREADS) & set(found["modules"])


def test_the_worker_takes_only_the_command_of_celery() -> None:
    """Other commands of Celery are run with `celery`."""
    command = [sys.executable, "-m", "worker", "celery", "-A", "worker.app", "inspect"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "python -m worker celery -A worker.app worker OPTIONS" in done.stderr


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An event loop of Celery; signals of this process do not end it."""
    handler = signal.signal(signal.SIGUSR1, lambda *_: None)
    hub = Hub()
    yield hub
    signal.set_wakeup_fd(-1)
    hub.close()
    signal.signal(signal.SIGUSR1, handler)


def test_a_signal_wakes_the_event_loop(hub: Hub) -> None:
    """The loop has something to read at once, and nothing more after it was read."""
    wake_on_signal(hub)
    assert not hub.poller.poll(0)

    os.kill(os.getpid(), signal.SIGUSR1)
    ((reader, _),) = hub.poller.poll(0)
    read, arguments = hub.readers[reader]
    read(*arguments)

    assert not hub.poller.poll(0)
