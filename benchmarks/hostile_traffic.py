"""Check a receiver under hostile and honest traffic on loopback: `python -m benchmarks.hostile_traffic`."""

import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import click
from pydicom import dcmread

from benchmarks.traffic import honest
from benchmarks.traffic.honest import Answers
from benchmarks.traffic.receiver_process import ReceiverProcess, running
from benchmarks.traffic.strangers import Counts, attack, attacks
from db import queries
from db.engine import Database, open_database

MiB = 1024**2
_ENOUGH_SECONDS = 2.0
_SILENT_SECONDS = 12.0
_GROWTH, _NOISE_BYTES = 1.15, 16 * MiB
"""Memory counts as flat if at the end it is at most `_GROWTH` times the early memory, plus `_NOISE_BYTES`."""
_END_SECONDS = 90.0
"""Time for both processes to end after they are told to stop. The longest attack lasts 40 s."""
_COUNTED_SECONDS = 30.0
"""Time to wait until all receipts are written: with the next commit, after idle associations have ended (10 s)."""
_REFUSALS = frozenset(("rejected", "aborted", "too_slow", "lost", "incomplete", "unsupported"))

Check = tuple[bool, str]


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="Duration of the traffic.")
@click.option("--patience", default=1.0, show_default=True, help="Factor for limits of time on a machine that is busy.")
def main(minutes: float, patience: float) -> None:
    """Attack a receiver in 14 ways while honest callers send images. Exit code 1: a check has failed."""
    kinds = attacks()
    listed = [kind.address for kind in kinds.values() if kind.is_listed]
    with tempfile.TemporaryDirectory(prefix="nightread-traffic-") as folder, running(Path(folder), listed) as receiver:
        strangers, answers = _traffic(receiver, 60 * minutes)
        with closing(open_database(receiver.url)) as database:
            counted = _counted(database, strangers)
            checks = [
                *_answered(answers, patience),
                _flat(receiver),
                _in_ledger(database, receiver, answers),
                *_refused(strangers, counted),
                *_ended(strangers, patience),
                (receiver.process.poll() is None, "the receiver still runs"),
            ]
            spent = receiver.process.cpu_times()
    _show(strangers, counted)
    click.echo(f"The receiver used {spent.user + spent.system:.0f} s of processor time.")
    for holds, what in checks:
        click.echo(f"{'holds' if holds else 'FAILS'}: {what}")
    raise SystemExit(not all(holds for holds, _ in checks))


def _traffic(receiver: ReceiverProcess, seconds: float) -> tuple[Mapping[str, Counts], Answers]:
    """Run strangers in one process and honest callers in another, so that they do not share one interpreter lock."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    certificate = receiver.certificate
    works: Mapping[str, tuple[Any, ...]] = {
        "strangers": (_attack, receiver.port, receiver.tls_port),
        "honest": (honest.call, receiver.port, receiver.tls_port, certificate),
    }
    results: dict[str, Any] = {}
    running_now = []
    for name, (function, *arguments) in works.items():
        queue = context.Queue()
        process = context.Process(target=_work, args=(function, arguments, stop, queue), daemon=True)
        process.start()
        running_now.append((name, process, queue))
    threading.Event().wait(seconds)
    stop.set()
    for name, process, queue in running_now:
        results[name] = queue.get(timeout=_END_SECONDS)
        process.join(_END_SECONDS)
    return results["strangers"], results["honest"]


def _work(function: Callable[..., Any], arguments: list[Any], stop: Any, queue: "Queue[Any]") -> None:
    queue.put(function(*arguments, stop))


def _attack(port: int, tls_port: int | None, stop: threading.Event) -> dict[str, Counts]:
    return attack(attacks(), port, tls_port, stop)


def _counted(database: Database, strangers: Mapping[str, Counts]) -> Mapping[str, Counter[str]]:
    """Return the refusals in the receipts by address. Wait until all are written, but at most 30 s."""
    deadline = time.monotonic() + _COUNTED_SECONDS
    while True:
        found: dict[str, Counter[str]] = {}
        for receipt in queries.associations(database):
            refusals = {how: times for how, times in receipt.statuses.items() if how in _REFUSALS}
            found.setdefault(receipt.address, Counter()).update(refusals)
        is_complete = all(_is_counted(one, found.get(one.address, Counter())) for one in strangers.values())
        if is_complete or time.monotonic() > deadline:
            return found
        time.sleep(1)


def _is_counted(one: Counts, counted: Counter[str]) -> bool:
    total = counted.total()
    return total == one.ended if one.is_exact else one.ended <= total <= one.opened


def _answered(answers: Answers, patience: float) -> Iterator[Check]:
    requests = len(answers.seconds) + len(answers.failures)
    middle, late, latest = (answers.percentile(share) for share in (0.5, 0.99, 1.0))
    figures = f"{requests:,} requests, median {middle:.3f} s, p99 {late:.3f} s, longest {latest:.3f} s"
    enough = patience * _ENOUGH_SECONDS
    yield late <= enough, f"honest requests are answered with p99 <= {enough:g} s: {figures}"
    failures = ", ".join(f"{what} ({times})" for what, times in Counter(answers.failures).items())
    yield not answers.failures, f"no honest request fails: {failures or 'none did'}"


def _flat(receiver: ReceiverProcess) -> Check:
    early, late = receiver.early_and_late_memory()
    what = f"memory is flat: {early / MiB:.0f} MiB after a tenth of the time, {late / MiB:.0f} MiB at the end"
    return late <= _GROWTH * early + _NOISE_BYTES, what


def _in_ledger(database: Database, receiver: ReceiverProcess, answers: Answers) -> Check:
    """Check that each acknowledged image is in the ledger, by the UIDs of the files that the ledger names."""
    known = set()
    for source in queries.sources(database):
        for _, uri in queries.uris_of(database, source.id):
            header = dcmread(Path(source.root) / uri, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
            known.add(str(header.SOPInstanceUID))
    missing = set(answers.acknowledged) - known
    number = len(set(answers.acknowledged))
    what = f"each acknowledged image is in the ledger: {number:,} acknowledged, {len(missing)} missing"
    return number > 0 and not missing and receiver.state.is_dir(), what


def _refused(strangers: Mapping[str, Counts], counted: Mapping[str, Counter[str]]) -> Iterator[Check]:
    for name, one in strangers.items():
        found = counted.get(one.address, Counter())
        seen = f"{one.ended:,} of {one.opened:,} connections were ended, {found.total():,} are in the receipts"
        yield _is_counted(one, found), f"refusals are counted: {name}: {seen}"


def _ended(strangers: Mapping[str, Counts], patience: float) -> Iterator[Check]:
    left = {name: one.not_ended for name, one in strangers.items() if one.not_ended}
    yield not left, f"each attack is ended by the receiver: {left or 'all were'}"
    longest = max(one.longest for one in strangers.values())
    enough = patience * _SILENT_SECONDS
    yield longest <= enough, f"silent connections are closed within {enough:g} s: {longest:.1f} s"


def _show(strangers: Mapping[str, Counts], counted: Mapping[str, Counter[str]]) -> None:
    for name, one in strangers.items():
        words = ", ".join(f"{how} {times:,}" for how, times in sorted(counted.get(one.address, Counter()).items()))
        click.echo(f"{name} ({one.address}): {one.rounds:,} rounds, {one.opened:,} connections; receipts: {words}")


if __name__ == "__main__":
    main()
