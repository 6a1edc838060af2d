"""`nightread up`: everything on this machine, staying: Redis, worker, watcher, dispatcher, Flower."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from cli.embedded.children import child, flower_arguments, flower_environment, service_arguments, worker_arguments
from cli.embedded.pipeline import prepared_environment, running
from cli.embedded.silent_worker import SilentWorker
from cli.embedded.supervisor import Child
from cli.inputs.options import settings_from, state_options, worker_options
from cli.models.active import active_references
from cli.output.console import err
from db import error_messages, queries
from db.engine import Database
from nightread.errors import UsageFault
from nightread.log import set_up_logging
from nightread.settings import Settings
from nightread.sources import FolderSource, ReceiverSource, Source

_PARTS = {"folder": "watch", "receiver": "receive", "dicomweb": "poll", "orthanc": "poll"}
_LOOK_SECONDS = 0.5
_REPORT_SECONDS = 30.0


@click.command("up")
@click.option(
    "--inbox",
    "inboxes",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder to watch; may be given several times [the sources of the settings].",
)
@click.option("--flower-port", type=click.IntRange(0, 65535), help="Port of Flower on 127.0.0.1 [5555]; 0: no Flower.")
@worker_options
@state_options
def up_command(inboxes: tuple[Path, ...], **options: Any) -> None:
    """Watch folders and analyse what arrives.

    Without --inbox: all folders, receivers and stores that the settings name as `sources`.
    Stays until Ctrl-C; nothing else needs to be installed or started.

    \b
    Examples: nightread up --inbox ~/inbox --model phantom
              nightread up --config /etc/nightread.toml
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    if not (inboxes or settings.sources):
        raise UsageFault("Say where images come from: --inbox FOLDER, or [[sources]] in the settings file.")
    set_up_logging(settings.log_format, settings.log_level)
    stop = _stop_on_signal()
    with prepared_environment(settings) as environment:
        children = _children(inboxes, environment.settings)
        with running(children):
            _greet(inboxes, environment.settings)
            silent_worker = SilentWorker(children[0], environment.database)
            _supervise([*environment.servers, *children], silent_worker, environment.database, stop)
            err.print("stopping ...")
    err.print("stopped; nothing is lost: unfinished work goes on at the next start.")


def _children(inboxes: Sequence[Path], settings: Settings) -> list[Child]:
    children = [
        child("worker", worker_arguments(settings), settings),
        child("dispatch", service_arguments("dispatch"), settings),
        *_producers(inboxes, settings),
    ]
    if settings.destinations:
        children.append(child("send-results", service_arguments("send-results", "--follow"), settings))
    if settings.flower_port:
        children.append(child("flower", flower_arguments(settings), settings, **flower_environment(settings)))
    return children


def _producers(inboxes: Sequence[Path], settings: Settings) -> list[Child]:
    """A process for each kind of source: what one library does to its process, the others do not feel."""
    if inboxes:
        watched = [argument for inbox in inboxes for argument in ("--inbox", str(inbox.absolute()))]
        return [child("watch", service_arguments("watch", *watched), settings)]
    parts = dict.fromkeys(_PARTS[source.kind] for source in settings.sources)
    return [child(part, service_arguments(part), settings) for part in parts]


def _supervise(children: Sequence[Child], silent_worker: SilentWorker, database: Database, stop: Event) -> None:
    """Restart what dies or hangs; tell now and then how far things are."""
    reported_at, told = 0.0, ""
    while not stop.wait(_LOOK_SECONDS):
        for member in children:
            event = member.supervise()
            if event is not None:
                err.print(f"{time.strftime('%H:%M:%S')} {event}", markup=False)
        if time.monotonic() - reported_at >= _REPORT_SECONDS or not told:
            if silent_worker.check():
                err.print(f"{time.strftime('%H:%M:%S')} the worker was silent for too long and is ended")
            line = _how_far(database)
            if line != told:
                err.print(f"{time.strftime('%H:%M:%S')} {line}", markup=False)
            reported_at, told = time.monotonic(), line


def _how_far(database: Database) -> str:
    try:
        tally = queries.tally(database)
        paused = ", ".join(f"{pause.cause}" for pause in queries.pauses(database))
    except SQLAlchemyError as error:
        return f"the database does not answer: {error_messages.describe(error)}"
    unfinished = tally.waiting + tally.queued + tally.running
    return (
        f"{tally.arrived} arrived: {tally.done} done, {tally.duplicate} duplicate, {tally.rejected} rejected, "
        f"{tally.failed} failed, {unfinished} to go"
        + (f"; dispatch is paused ({paused}): see `nightread status`" if paused else "")
    )


def _greet(inboxes: Sequence[Path], settings: Settings) -> None:
    for inbox in inboxes:
        err.print(f"watching {inbox.absolute()}", markup=False)
    for source in () if inboxes else settings.sources:
        err.print(f"source   {source.name}: {_described(source)}", markup=False)
    rules = ", ".join(sorted(active_references(settings)))
    nothing = "none: every image will be rejected (no_model); name one with --model, or `nightread models activate` one"
    err.print(f"model    {settings.model or (rules and f'{rules}, by rules') or nothing}", markup=False)
    if settings.flower_port:
        err.print(f"Flower   http://{settings.flower_address}:{settings.flower_port}")
    err.print(f"status   nightread status --state {settings.state_dir}", markup=False)
    err.print("Ctrl-C stops it.")


def _described(source: Source) -> str:
    match source:
        case FolderSource():
            return f"folder {source.path.absolute()}"
        case ReceiverSource():
            return f"C-STORE as {source.ae_title} on {source.address} port {source.port}"
    return f"{source.kind} {source.url}"


def _stop_on_signal() -> Event:
    stop = Event()

    def set_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, set_stop)
    return stop
