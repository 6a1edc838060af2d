"""Run a whole site for a bad night: `nightread up` with a folder, a receiver, a store and a destination.

A web server in this process is the store, the destination, the outside monitor, and the receiver of the webhook.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path

import psutil
import pydicom
from compose_processes import free_port
from dicom_files import PLAIN, SEED, phantom
from earlier_nights import install_model, start_of_night, write_earlier_nights
from nightread_process import run, started, wait_until
from pynetdicom import AE
from small_disk import small_disk
from up_process import UpProcess
from web_server import Reply, Request, WebServer, running_web_server

from delivery.alarms.channels import SIGNATURE_HEADER, signature
from models.phantoms.dicom import phantom_file

SECRET = "a secret of sixteen"
MODEL = "night"
USUAL_SENDER = "MR1"
"""The AE title that sent at the start of each earlier night."""
_PARTS = {"dispatcher": "cli dispatch", "receiver": "cli receive", "worker": "worker.app worker"}
_MINUTES_BEFORE = 27
"""So long ago the night began. USUAL_SENDER should have sent something half an hour after that."""
Key = tuple[str, str]
"""Rule and subject of an alarm; that of a part without the name of its host."""


@dataclass(kw_only=True)
class Site:
    """The running system, and what breaks of it."""

    up: UpProcess
    config: Path
    disk: Path
    receiver_port: int
    web: WebServer
    night_began_at: datetime
    away: threading.Event
    """Set: the store and the destination answer with status 503."""
    sent: int = 0
    expected: Counter[Key] = field(default_factory=Counter)
    """How often each alarm must open."""
    broken_at: dict[Key, float] = field(default_factory=dict)
    seconds: list[tuple[Key, float]] = field(default_factory=list)
    """How long it took until each alarm was opened."""

    @property
    def options(self) -> tuple[str | Path, ...]:
        """Return the options that each command needs."""
        return "--config", self.config, "--state", self.up.state

    @property
    def model_file(self) -> Path:
        """Return the file of the network."""
        return self.up.state / "bundles" / MODEL / "model.onnx"

    def events(self) -> Counter[tuple[str, str, str]]:
        """Count what the webhook received: event, rule and subject. Each message has a genuine signature."""
        found: Counter[tuple[str, str, str]] = Counter()
        for request in list(self.web.asked):
            if request.path == "/alarms":
                at = int(request.headers[SIGNATURE_HEADER].partition(",")[0].removeprefix("t="))
                assert request.headers[SIGNATURE_HEADER] == signature(SECRET, at, request.body)
                body = json.loads(request.body)
                found[body["event"], body["rule"], _without_host(body["rule"], body["subject"])] += 1
        return found

    def pings(self) -> int:
        """Return how many heartbeats the outside monitor received."""
        return sum(request.path == "/ping" for request in list(self.web.asked))

    def status(self) -> str:
        """Return the first line of `nightread status --check`."""
        return self.run("status", "--check").stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of nightread, which may take long on a busy machine."""
        return run(*arguments, *self.options, seconds=400)

    def breaks(self, *keys: Key, seconds_ahead: float = 0.0) -> None:
        """Note that these alarms must come from now on, or from a later time on."""
        for key in keys:
            self.expected[key] += 1
            self.broken_at[key] = time.monotonic() + seconds_ahead

    def require(self, event: str, *keys: Key, seconds: float) -> None:
        """Wait until the webhook has received this event of all these alarms."""
        for key in keys:
            wait_until(
                lambda key=key: self.events()[event, *key] >= self.expected[key],  # type: ignore[misc]
                seconds=seconds,
                what=lambda key=key: f"{event} {key}: {self.events()} {self.status()} {self.up.describe()}",  # type: ignore[misc]
            )
            if event == "opened":
                self.seconds.append((key, time.monotonic() - self.broken_at[key]))

    def send(self, title: str) -> None:
        """Send one image to the receiver by C-STORE."""
        self.sent += 1
        self.up.dropped += 1
        scan = pydicom.dcmread(BytesIO(phantom(5000 + self.sent)))
        entity = AE(ae_title=title)
        entity.add_requested_context(scan.SOPClassUID, scan.file_meta.TransferSyntaxUID)
        association = entity.associate("127.0.0.1", self.receiver_port, ae_title="NIGHTREAD")
        assert association.is_established
        assert association.send_c_store(scan).Status == 0
        association.release()

    def drop_films(self, number: int, *, with_lesions: bool) -> None:
        """Drop the films of one study, which all show lesions, or none."""
        chosen = (pydicom.dcmread(BytesIO(content)) for content, shows in _films() if shows is with_lesions)
        study = next(chosen)
        for film in islice(chosen, number):
            study.SOPInstanceUID = study.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
            study.PixelData = film.PixelData
            content = BytesIO()
            study.save_as(content)
            self.up.drop(f"film-{self.up.dropped}.dcm", content.getvalue())

    def usual_sender_is_late_in(self) -> float:
        """Return the seconds until the usual sender is later than on any earlier night; 0 if it is so already."""
        return max(0.0, (self.night_began_at + timedelta(minutes=30) - datetime.now(UTC)).total_seconds())

    def family(self, part: str) -> list[psutil.Process]:
        """Return the process of a part and its descendants."""
        (process,) = self.up.find(_PARTS[part])
        return [process, *process.children(recursive=True)]

    def stop(self, part: str) -> list[psutil.Process]:
        """Let all processes of a part stand still, as if they hung; return them."""
        self.breaks(("part_silent", part))
        processes = self.family(part)
        for process in processes:
            os.kill(process.pid, signal.SIGSTOP)
        return processes


@cache
def _films() -> list[tuple[bytes, bool]]:
    """Return films, each with whether it shows a lesion."""
    films = (phantom_file(seed=SEED, index=index, style=PLAIN) for index in range(9000, 9260))
    return [(content, bool(truth.lesions)) for content, truth in films]


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """Write a week of earlier nights, start `up`, and wait until all parts work."""
    away = threading.Event()
    with small_disk(folder / "spool", mib=64) as disk, running_web_server(_answer(away)) as web:
        up, port = UpProcess(folder=folder), free_port()
        began_at, night_start = start_of_night(datetime.now(UTC), minutes_ago=_MINUTES_BEFORE)
        bundle = install_model(up.state, MODEL)
        up.dropped += write_earlier_nights(
            up.state, source="modalities", sender=USUAL_SENDER, bundle=bundle, began_at=began_at
        )
        config = _write_config(folder, web=web.url, inbox=up.inbox, port=port, spool=disk, start=night_start)
        arguments = ("up", "--config", config, "--state", up.state, "--model", MODEL, "--workers", "1")
        with started(*arguments, "--flower-port", "0", "--api-port", "0", output=up.output) as up.process:
            site = Site(
                up=up, config=config, disk=disk, receiver_port=port, web=web, night_began_at=began_at, away=away
            )
            wait_until(lambda: site.status().startswith("Running"), seconds=240, what=site.status)
            yield site


def _write_config(folder: Path, **values: object) -> Path:
    config, secret = folder / "nightread.toml", folder / "secret"
    secret.write_text(f"{SECRET}\n")
    now = datetime.now(UTC)
    by, end = (f"{now + later:%H:%M}" for later in (timedelta(minutes=3), timedelta(hours=6)))
    config.write_text(_CONFIG.format(secret=secret, by=by, end=end, **values))
    return config


def _without_host(rule: str, subject: str) -> str:
    """Return `dispatcher` for `dispatcher HOST`; names of sources, senders and models stay."""
    return subject.partition(" ")[0] if rule == "part_silent" else subject


def _answer(away: threading.Event) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        if not request.path.startswith("/dicom-web"):
            return Reply()
        if away.is_set():
            return Reply(status=503)
        if request.body:  # a report by STOW-RS
            return Reply()
        return Reply(body=[b"[]"], headers={"Content-Type": "application/dicom+json"})

    return answer


_CONFIG = """
time_zone = "UTC"
night_start = "{start}"
night_end = "{end}"
watchdog_seconds = 5
alarm_arrivals_by = "{by}"
alarm_delivery_minutes = 0.5
deliver_after_seconds = 0
spool_dir = "{spool}"
disk_reserve_bytes = 4194304
monitor_url = "{web}/ping"

[[alarm_channels]]
name = "pager"
kind = "webhook"
url = "{web}/alarms"
secret_file = "{secret}"

[[sources]]
kind = "folder"
name = "inbox"
path = "{inbox}"

[[sources]]
kind = "receiver"
name = "modalities"
port = {port}

[[sources]]
kind = "dicomweb"
name = "store"
url = "{web}/dicom-web"
poll_seconds = 10

[[destinations]]
kind = "stow"
name = "archive"
url = "{web}/dicom-web"
objects = ["report"]
"""
