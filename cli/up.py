"""Define `nightread up`: run Redis, worker, producers, dispatcher, Flower and the HTTP API on this machine."""

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import click
from sqlalchemy.exc import SQLAlchemyError

from cli.embedded.children import child, flower_arguments, service_arguments, worker_arguments
from cli.embedded.pipeline import prepared_environment, running
from cli.embedded.privileges import become_user, is_root
from cli.embedded.silent_worker import SilentWorker
from cli.embedded.supervisor import Child
from cli.inputs.options import settings_from, state_options, worker_options
from cli.models.active import read_active
from cli.output.address_line import AddressLine
from cli.output.api_access import api_address_lines, why_no_api
from cli.output.console import err
from cli.output.flower_access import announce_login, flower_address_lines
from cli.watchdog import require_channels
from db import error_messages, queries
from db.engine import Database
from db.heartbeat_timer import HeartbeatTimer
from db.ledger import PartKind
from nightread.environment import settings_file
from nightread.errors import UsageFault
from nightread.exposure import exposures
from nightread.log import set_up_logging
from nightread.settings import Settings
from nightread.shutdown import stop_on_signal
from nightread.sources import FolderSource, ReceiverSource, Source

_SERVICES = {"folder": "watch", "receiver": "receive", "dicomweb": "poll", "orthanc": "poll"}
_PARTS = {
    "worker": PartKind.WORKER,
    "dispatch": PartKind.DISPATCHER,
    "watch": PartKind.WATCHER,
    "receive": PartKind.RECEIVER,
    "poll": PartKind.POLLER,
    "send-results": PartKind.SENDER,
    "watchdog": PartKind.WATCHDOG,
    "flower": PartKind.FLOWER,
    "api": PartKind.API,
}
_CHECK_SECONDS = 0.5
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
@click.option("--api-port", type=click.IntRange(0, 65535), help="Port of the HTTP API on 127.0.0.1 [8080]; 0: no API.")
@click.option("--user", help="If you are root: continue as this user, with the rights of this user and its groups.")
@worker_options
@state_options
def up_command(inboxes: tuple[Path, ...], user: str | None, **options: Any) -> None:
    """Watch folders and analyse new files.

    Without --inbox, images come from all folders, receivers and stores under `sources` in the settings file. The
    command starts Redis, a database, workers, Flower and the HTTP API, and runs until Ctrl-C.

    \b
    Examples: nightread up --inbox ~/inbox --model phantom
              nightread up --config /etc/nightread.toml
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    if not (inboxes or settings.sources):
        raise UsageFault("No source of images is given: use --inbox FOLDER, or [[sources]] in the settings file.")
    require_channels(settings)
    if user is not None:
        config = settings_file(None)  # child processes read this file again; they do not read the file of --config
        become_user(user, state_dir=settings.state_dir, readable=(*inboxes, *((config,) if config else ())))
    set_up_logging(settings.log_format, settings.log_level)
    stop = stop_on_signal()
    with prepared_environment(settings) as environment:
        api_problem = why_no_api(environment.settings, environment.database)
        children = _children(inboxes, environment.settings, with_api=api_problem is None)
        with running(children):
            _print_start(inboxes, environment.settings)
            address_lines = [
                *flower_address_lines(settings),
                *api_address_lines(environment.settings, environment.database, api_problem),
            ]
            _print_warnings(settings)
            err.print("Press Ctrl-C to stop.")
            silent_worker = SilentWorker(children[0], environment.database)
            timer = _timer(children, settings, environment.database)
            members = [*environment.servers, *children]
            _supervise(members, silent_worker, address_lines, environment.database, timer, stop)
            timer.record_stop()
            err.print("Stopping ...")
    err.print("Stopped. Unfinished images are analysed after the next start.")


def _children(inboxes: Sequence[Path], settings: Settings, *, with_api: bool) -> list[Child]:
    children = [
        child("worker", worker_arguments(settings), settings),
        child("dispatch", service_arguments("dispatch"), settings),
        *_producers(inboxes, settings),
    ]
    if settings.destinations:
        children.append(child("send-results", service_arguments("send-results", "--follow"), settings))
    children.append(child("watchdog", service_arguments("watchdog"), settings))
    if settings.flower_port:
        children.append(child("flower", flower_arguments(settings), settings))
    if with_api:
        children.append(child("api", service_arguments("api"), settings))
    return children


def _producers(inboxes: Sequence[Path], settings: Settings) -> list[Child]:
    """Make one process for each kind of source, so that a crash of one does not stop the others."""
    if inboxes:
        watched = [argument for inbox in inboxes for argument in ("--inbox", str(inbox.absolute()))]
        return [child("watch", service_arguments("watch", *watched), settings)]
    services = dict.fromkeys(_SERVICES[source.kind] for source in settings.sources)
    return [child(service, service_arguments(service), settings) for service in services]


def _timer(children: Sequence[Child], settings: Settings, database: Database) -> HeartbeatTimer:
    """Return the heartbeat timer of this process. The heartbeat names the started parts: `status` then expects them."""
    parts = [_PARTS[member.name].value for member in children]
    return HeartbeatTimer(database, PartKind.SUPERVISOR, {"parts": parts}, serves=[settings.state_dir])


def _supervise(
    children: Sequence[Child],
    silent_worker: SilentWorker,
    address_lines: Sequence[AddressLine],
    database: Database,
    timer: HeartbeatTimer,
    stop: Event,
) -> None:
    """Restart children that end or hang, and print the progress every _REPORT_SECONDS if it changed.

    The heartbeat is sent from this loop, and not from a thread: a process with threads must not fork.
    """
    reported_at, last_line = 0.0, ""
    timer.send()
    while not stop.wait(_CHECK_SECONDS):
        timer.send_if_due()
        for line in address_lines:
            line.check()
        for member in children:
            event = member.supervise()
            if event is not None:
                err.print(f"{time.strftime('%H:%M:%S')} {event}", markup=False)
        if time.monotonic() - reported_at >= _REPORT_SECONDS or not last_line:
            if silent_worker.check():
                err.print(f"{time.strftime('%H:%M:%S')} the worker sent no heartbeat for too long and was killed")
            progress = _progress_line(database)
            if progress != last_line:
                err.print(f"{time.strftime('%H:%M:%S')} {progress}", markup=False)
            reported_at, last_line = time.monotonic(), progress


def _progress_line(database: Database) -> str:
    try:
        tally = queries.tally(database)
        pauses = queries.pauses(database)
    except SQLAlchemyError as error:
        return f"the database is unavailable: {error_messages.describe(error)}"
    unfinished = tally.waiting + tally.queued + tally.running
    return (
        f"{tally.arrived} arrived: {tally.done} done, {tally.duplicate} duplicate, {tally.rejected} rejected, "
        f"{tally.failed} failed, {unfinished} unfinished"
        + "".join(f"; {_what(pause)} is paused ({pause.cause}): see `nightread status`" for pause in pauses)
    )


def _what(pause: queries.Pause) -> str:
    return "dispatch" if pause.source is None else f"the source {pause.source}"


def _print_start(inboxes: Sequence[Path], settings: Settings) -> None:
    for inbox in inboxes:
        err.print(f"watching {inbox.absolute()}", markup=False)
    for source in () if inboxes else settings.sources:
        err.print(f"source   {source.name}: {_describe(source)}", markup=False)
    routed = ", ".join(sorted(read_active(settings).references))
    none = "none: every image will be rejected (no_model); use --model, or `nightread models activate`"
    err.print(f"model    {settings.model or (routed and f'{routed}, by routing rules') or none}", markup=False)
    if settings.flower_port:
        announce_login(settings)
    command = f"nightread status --state {shlex.quote(str(settings.state_dir))}"
    err.print(f"status   {command}", markup=False, soft_wrap=True)  # one line, so that it can be pasted


def _print_warnings(settings: Settings) -> None:
    for exposure in exposures(settings):
        err.print(f"warning  {exposure.line}", style="yellow")
    if is_root():
        err.print("warning  nightread runs as root: start it as another user, or with --user NAME.", style="yellow")


def _describe(source: Source) -> str:
    match source:
        case FolderSource():
            return f"folder {source.path.absolute()}"
        case ReceiverSource():
            return f"C-STORE as {source.ae_title} on {source.address} port {source.port}"
    return f"{source.kind} {source.url}"
