"""Measure the time from a POST request to its answer: idle, without pauses, in a night, and with 50 clients at once.

All processes run as an operator starts them. Each client has one connection, like a program that sends many images.
"""

import json
import random
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path

from sqlalchemy import select

from benchmarks.figures import Figure, Target
from benchmarks.latency import free_port, running_up, wait_for_worker
from benchmarks.plan import Plan, scratch
from benchmarks.workloads import WORKLOADS, write
from db import queries
from db.engine import Database, open_database
from db.queries import ImageFilter
from db.tables import batches, instances, work
from nightread.clock import utc_now

_PAUSES_SECONDS = (0.2, 0.5)
_WAIT_SECONDS = 60
_CLIENTS = 50
_HEADERS = {"Content-Type": "application/dicom", "Prefer": f"wait={_WAIT_SECONDS}"}


def measure(plan: Plan) -> Iterator[Figure]:
    """Measure the four situations in one run of `nightread up`. `--repeat` has no effect."""
    with scratch() as work_dir:
        (work_dir / "inbox").mkdir()
        port = free_port()
        warm_up, idle, following, during = (
            4 * plan.processes,
            plan.count(200, 5),
            plan.count(100, 3),
            plan.count(100, 3),
        )
        count = warm_up + idle + following + during
        ready = iter([path.read_bytes() for path in write(WORKLOADS["ct"], work_dir / "ready", count)])
        night = work_dir / "night"
        write(WORKLOADS["28x28-8"], night, plan.count(20_000, 200))
        with running_up(work_dir, plan.processes, api_port=port):
            wait_for_worker(work_dir)
            wait_for_api(port)
            database = open_database(f"sqlite:///{work_dir / 'state' / 'nightread.sqlite3'}")
            client = Client(port)
            client.send_all(islice(ready, warm_up))
            client.sent.clear()
            milliseconds = client.send_all(islice(ready, idle))
            yield from _idle(milliseconds, _stages(database, client.sent))
            yield _without_pauses(client.send_all(islice(ready, following), pauses=False))
            night.rename(work_dir / "inbox" / "night")
            yield _during_a_night(client, ready, database)
            yield from _many_clients(plan, port, database, work_dir)
            database.close()


@dataclass
class Client:
    """One connection to the API."""

    port: int
    acknowledged: list[int] = field(default_factory=list)
    sent: list[tuple[int, datetime, datetime]] = field(default_factory=list)
    """Id of the image, and the times at which its POST began and was answered."""

    def __post_init__(self) -> None:
        self._connection = HTTPConnection("127.0.0.1", self.port, timeout=2 * _WAIT_SECONDS)

    def send(self, body: bytes, *, wait: bool = True) -> tuple[float, int]:
        """Send an image; return the seconds until the answer, and its status."""
        began, began_at = time.perf_counter(), utc_now()
        self._connection.request("POST", "/v1/images" if wait else "/v1/images?wait=0", body, _HEADERS)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        seconds = time.perf_counter() - began
        if response.status not in (200, 202):
            raise RuntimeError(f"the API answered {response.status}: {answer.get('detail')}")
        self.acknowledged.append(answer["image_id"])
        self.sent.append((answer["image_id"], began_at, began_at + timedelta(seconds=seconds)))
        return seconds, response.status

    def send_all(self, bodies: Iterable[bytes], *, pauses: bool = True) -> list[float]:
        """Send images one after the other; return the milliseconds that each image took."""
        found = []
        for body in bodies:
            if pauses:
                time.sleep(random.uniform(*_PAUSES_SECONDS))  # random: not synchronous with a timer of the pipeline
            seconds, status = self.send(body)
            if status != 200:
                raise RuntimeError(f"an image has no result after {_WAIT_SECONDS} s")
            found.append(1000 * seconds)
        return found


def wait_for_api(port: int) -> None:
    """Wait until the API answers."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/v1/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        if time.monotonic() > deadline:
            raise RuntimeError("the API did not start")
        time.sleep(0.1)


def _percentile(values: list[float], percent: int) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, len(ranked) * percent // 100)]


def _stages(database: Database, sent: list[tuple[int, datetime, datetime]]) -> str:
    """Describe the time of each stage: its median, from the times in the database."""
    statement = (
        select(instances.c.id, instances.c.arrived_at, batches.c.created_at, batches.c.claimed_at, work.c.finished_at)
        .join(work, work.c.instance_id == instances.c.id)
        .join(batches, batches.c.id == work.c.batch_id)
    )
    with database.read() as connection:
        reached = {row.id: row for row in connection.execute(statement)}
    names = ("POST to arrival", "to batch", "to claim", "to outcome", "to answer")
    moments = [(began, *reached[image_id][1:], answered) for image_id, began, answered in sent if image_id in reached]
    medians = (
        statistics.median((row[stage + 1] - row[stage]).total_seconds() for row in moments)
        for stage in range(len(names))
    )
    return ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in zip(names, medians, strict=True)) + " ms"


def _idle(milliseconds: list[float], stages: str) -> Iterator[Figure]:
    targets = {50: Target(at_most=50), 99: Target(at_most=200)}
    for percent in (50, 95, 99):
        yield Figure(
            name=f"POST of a 512x512 image -> answer, idle, p{percent}",
            values=(_percentile(milliseconds, percent),),
            unit="ms",
            target=targets.get(percent),
            note=f"{len(milliseconds)} images, one at a time",
            bound_by=f"medians: {stages}",
        )


def _without_pauses(milliseconds: list[float]) -> Figure:
    """Show what a client waits that sends the next image as soon as it has the result of the last one."""
    return Figure(
        name="POST of a 512x512 image -> answer, the next one at once, p50",
        values=(_percentile(milliseconds, 50),),
        unit="ms",
        note=f"{len(milliseconds)} images on one connection",
    )


def _during_a_night(client: Client, bodies: Iterable[bytes], database: Database) -> Figure:
    """Send images until the night is done or all images are sent. No image is sent after the end of the night."""
    found: list[float] = []
    while queries.tally(database).arrived < len(client.acknowledged) + 1:
        time.sleep(0.01)  # the watcher has not found the night yet
    for body in bodies:
        time.sleep(random.uniform(*_PAUSES_SECONDS) / 4)
        if queries.unfinished(database) == 0:
            break
        found.append(1000 * client.send(body)[0])
    while queries.unfinished(database):
        time.sleep(0.1)
    return Figure(
        name="POST of a 512x512 image -> answer, during a night of 20,000 images, p95",
        values=(_percentile(found, 95),) if found else (),
        unit="ms",
        target=Target(at_most=1500),
        note=f"{len(found)} images; median {statistics.median(found):.0f} ms" if found else "the night was too short",
    )


def _many_clients(plan: Plan, port: int, database: Database, work_dir: Path) -> Iterator[Figure]:
    """Let 50 clients send different images for a minute. Count the acknowledged images that have no row."""
    ends_at = time.monotonic() + plan.count(60, 2)
    clients = [Client(port) for _ in range(_CLIENTS)]
    milliseconds: list[float] = []
    problems: list[str] = []

    def run(number: int) -> None:
        body = write(WORKLOADS["28x28-8"], work_dir / f"client-{number}", 1)[0].read_bytes()
        count = 0
        while time.monotonic() < ends_at:
            count += 1
            try:
                milliseconds.append(1000 * clients[number].send(_different(body, number, count))[0])
            except (OSError, RuntimeError) as error:
                problems.append(str(error) or type(error).__name__)
                return

    threads = [threading.Thread(target=run, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    acknowledged = [image_id for client in clients for image_id in client.acknowledged]
    lost = len(acknowledged) - _rows(database, acknowledged)
    yield Figure(
        name=f"{_CLIENTS} clients that send for a minute: images without a row",
        values=(float(lost),),
        target=Target(at_most=0),
        note=f"{len(acknowledged):,} images; {', '.join(sorted(set(problems))) or 'no client failed'}",
    )
    yield Figure(name=f"{_CLIENTS} clients: POST -> answer, p95", values=(_percentile(milliseconds, 95),), unit="ms")


def _different(body: bytes, number: int, count: int) -> bytes:
    """Return the image with other bytes in its preamble, which readers ignore."""
    return f"{number:06d}{count:026d}".encode() + body[32:]


def _rows(database: Database, image_ids: list[int]) -> int:
    step = 500
    chunks = (tuple(image_ids[start : start + step]) for start in range(0, len(image_ids), step))
    return sum(1 for chunk in chunks for _ in queries.images(database, ImageFilter(image_ids=chunk)))
