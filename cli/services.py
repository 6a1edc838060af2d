"""Define `nightread watch`, `dispatch`, `worker` and `flower`: the services of a production site."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from cli.embedded.children import flower_arguments, worker_arguments
from cli.embedded.redis_url import redis_url_of
from cli.embedded.state_folder import make_state_folder
from cli.inputs.options import settings_from, state_options, worker_options
from cli.night_calendar import keep_night_calendar
from cli.output.flower_access import announce_login, show_new_login
from cli.service import service
from db.heartbeat_timer import HeartbeatTimer, sent_heartbeats
from db.ledger import PartKind, forget_parts
from nightread.clock import utc_now
from nightread.errors import UsageFault
from nightread.notify import notify_dispatcher, open_redis
from nightread.paths import NAME_LENGTH, absolute, source_name
from nightread.queue import make_celery
from nightread.settings import Settings
from nightread.sources import FolderSource
from producer.dispatcher.dispatch import Dispatcher
from producer.dispatcher.seen_parts import SeenParts
from producer.dispatcher.singleton import only_dispatcher
from producer.dispatcher.transport import Transport


@click.command("watch")
@click.option(
    "--inbox",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to watch; may be given several times.",
)
@click.option("--name", help="Name of the source, with one --inbox [its path].")
@state_options
def watch_command(inbox: tuple[Path, ...], name: str | None, **options: Any) -> None:
    """Register new files of drop folders.

    Without --inbox, it watches all folders under `sources` in the settings file. The watcher does not need TensorFlow.

    \b
    Examples: nightread watch --inbox /srv/dropbox
              nightread watch --config /etc/nightread.toml
    """  # noqa: D301 - click reads the backspace itself
    from producer.folders.watch import Inbox, watch  # noqa: PLC0415

    settings = settings_from(**options)
    if name and len(inbox) != 1:
        raise UsageFault("--name needs exactly one --inbox.")
    if name and len(name) > NAME_LENGTH:
        raise UsageFault(f"--name has {len(name)} characters: use at most {NAME_LENGTH}.")
    inboxes = [Inbox(root=root, name=name) for root in inbox] or [
        Inbox(root=source.path, name=source.name, priority=source.priority, trust=source.trust)
        for source in folder_sources(settings)
    ]
    if not inboxes:
        raise UsageFault(
            "The settings have no folder: give --inbox, "
            'or add [[sources]] with kind = "folder" and a path to the settings file.'
        )
    with service(settings) as (database, stop):
        redis = open_redis(redis_url_of(settings))
        names = [inbox.name or source_name(absolute(inbox.root)) for inbox in inboxes]
        with sent_heartbeats(HeartbeatTimer(database, PartKind.WATCHER, {"sources": names}, serves=names)):
            watch(settings, database, inboxes, stop, lambda _arrivals: notify_dispatcher(redis))


@click.command("dispatch")
@state_options
def dispatch_command(**options: Any) -> None:
    """Form batches and publish them to Redis.

    Only one dispatcher can run per database.

    Example: nightread dispatch --database-url postgresql://... --redis-url redis://...
    """
    settings = settings_from(**options)
    url = redis_url_of(settings)
    with service(settings) as (database, stop), only_dispatcher(database, settings.state_dir) as require_lock:
        keep_night_calendar(database, settings)
        forget_parts(database, now=utc_now())
        transport = Transport(make_celery(url, settings), open_redis(url))
        heartbeat_file = settings.state_dir / "dispatcher.alive"
        timer = HeartbeatTimer(
            database,
            PartKind.DISPATCHER,
            {"round_seconds": settings.poll_seconds},
            seen=SeenParts(open_redis(url)).look,
        )

        def before_each() -> None:
            require_lock()
            timer.note_work()
            heartbeat_file.touch()  # health checks read its age

        with sent_heartbeats(timer):
            Dispatcher(database, transport, settings).run(stop, before_each=before_each)


@click.command("worker")
@worker_options
@state_options
def worker_command(**options: Any) -> None:
    """Analyse the images of batches.

    The worker has one process per GPU, or one per core if there is no GPU.

    Example: nightread worker --model phantom --redis-url redis://... --database-url postgresql://...
    """
    settings = settings_from(**options)
    _exec(worker_arguments(settings), settings)


@click.command("flower")
@click.option("--new-password", is_flag=True, help="Replace the generated password, show the new one, and exit.")
@state_options
def flower_command(*, new_password: bool, **options: Any) -> None:
    """Run Flower, a web page that shows workers and batches.

    Flower asks for a login: the setting flower_auth, or else a password that nightread generates and shows once.

    \b
    Examples: nightread flower --redis-url redis://...
              nightread flower --new-password
    """  # noqa: D301 - click reads the backspace itself
    settings = settings_from(**options)
    make_state_folder(settings.state_dir)
    if new_password:
        show_new_login(settings)
        return
    announce_login(settings)
    _exec(flower_arguments(settings), settings)


def folder_sources(settings: Settings) -> Sequence[FolderSource]:
    """Return the folders among the sources of the settings."""
    return [source for source in settings.sources if isinstance(source, FolderSource)]


def _exec(arguments: list[str], settings: Settings) -> None:
    """Replace this process by Celery, so that signals reach Celery and its exit code is returned."""
    make_state_folder(settings.state_dir)
    complete = settings.model_copy(update={"redis_url": SecretStr(redis_url_of(settings))})
    os.chdir(settings.state_dir)
    os.execve(sys.executable, arguments, {**os.environ, **complete.to_environment()})
