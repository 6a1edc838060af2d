"""`nightread watch|dispatch|worker|flower`: the parts, each a process of its own in production."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any

import click
from pydantic import SecretStr

from cli.children import flower_arguments, flower_environment, worker_arguments
from cli.options import settings_from, state_options, worker_options
from cli.record import require_file
from cli.redis_url import redis_url_of
from cli.state_folder import make_state_folder
from db import schema
from db.engine import Database, open_database
from db.same_clock import require_same_clock
from nightread.errors import UsageFault
from nightread.log import set_up_logging
from nightread.paths import NAME_LENGTH
from nightread.queue import make_celery
from nightread.settings import Settings
from nightread.wake import open_redis, wake_dispatcher
from producer.dispatch import Dispatcher
from producer.singleton import only_dispatcher
from producer.transport import Transport


@click.command("watch")
@click.option("--inbox", required=True, multiple=True, type=click.Path(file_okay=False, path_type=Path), help="Folder.")
@click.option("--name", help="Name of the source, if there is one inbox [its path].")
@state_options
def watch_command(inbox: tuple[Path, ...], name: str | None, **options: Any) -> None:
    """Register what arrives in drop folders.

    Needs no TensorFlow.

    Example: nightread watch --inbox /srv/dropbox
    """
    from producer.watch import Inbox, watch  # noqa: PLC0415

    settings = settings_from(**options)
    if name and len(inbox) > 1:
        raise UsageFault("--name names one source: give one --inbox with it.")
    if name and len(name) > NAME_LENGTH:
        raise UsageFault(f"--name has {len(name)} characters; a source's name has at most {NAME_LENGTH}.")
    with _part(settings) as (database, stop):
        redis = open_redis(redis_url_of(settings))
        inboxes = [Inbox(root=root, name=name) for root in inbox]
        watch(settings, database, inboxes, stop, lambda _arrivals: wake_dispatcher(redis))


@click.command("dispatch")
@state_options
def dispatch_command(**options: Any) -> None:
    """Form batches and publish them.

    There is one dispatcher for a database.

    Example: nightread dispatch --database-url postgresql://... --redis-url redis://...
    """
    settings = settings_from(**options)
    url = redis_url_of(settings)
    with _part(settings) as (database, stop), only_dispatcher(database, settings.state_dir) as still_mine:
        transport = Transport(make_celery(url, settings), open_redis(url))
        alive = settings.state_dir / "dispatcher.alive"

        def before_each() -> None:
            still_mine()
            alive.touch()  # health checks look at its age

        Dispatcher(database, transport, settings).run(stop, before_each=before_each)


@click.command("worker")
@worker_options
@state_options
def worker_command(**options: Any) -> None:
    """Analyse batches.

    One process per GPU, else one per core.

    Example: nightread worker --model phantom --redis-url redis://... --database-url postgresql://...
    """
    settings = settings_from(**options)
    _become(worker_arguments(settings), settings, {})


@click.command("flower")
@state_options
def flower_command(**options: Any) -> None:
    """Flower, the web page of workers and batches.

    Example: NIGHTREAD_FLOWER_AUTH=me:secret nightread flower --redis-url redis://...
    """
    settings = settings_from(**options)
    _become(flower_arguments(settings), settings, flower_environment(settings))


@contextmanager
def _part(settings: Settings) -> Iterator[tuple[Database, Event]]:
    """Logging, the database at the right version, and an event that SIGTERM and Ctrl-C set."""
    set_up_logging(settings.log_format, settings.log_level)
    make_state_folder(settings.state_dir)
    stop = Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    require_file(settings)
    database = open_database(settings.sql_url)
    try:
        schema.require_newest(database)
        require_same_clock(database)
        yield database, stop
    finally:
        database.close()


def _become(arguments: list[str], settings: Settings, environment: dict[str, str]) -> None:
    """Replace this process: signals and exit code are then Celery's own."""
    make_state_folder(settings.state_dir)
    known = settings.model_copy(update={"redis_url": SecretStr(redis_url_of(settings))})
    os.chdir(settings.state_dir)
    os.execve(sys.executable, arguments, {**os.environ, **known.to_environment(), **environment})
