"""How the parts are started as processes of their own."""

import sys
from collections.abc import Sequence
from pathlib import Path

from celery.utils.nodenames import default_nodename, gethostname

from cli.embedded.supervisor import Child
from nightread.hardware import slots
from nightread.settings import Settings

_PYTHON = (sys.executable, "-P", "-m")


def worker_arguments(settings: Settings, name: str = "nightread") -> list[str]:
    """Prefork, one process per GPU or core: a crash costs one child, and TensorFlow lives in the children only.

    A host has one worker of each name and record.
    """
    pool = ["--pool", "prefork", "--concurrency", str(slots(settings)), "-O", "fair"]
    # Workers do not talk to each other here: ready in 0.4 s instead of 1.5 s.
    quiet = ["--without-gossip", "--without-mingle", "--loglevel", settings.log_level]
    return [*_PYTHON, "celery", "-A", "worker.app", "worker", "--hostname", f"{name}@%h", *pool, *quiet]


def worker_node(name: str = "nightread") -> str:
    """What this host's worker is called in the record."""
    return str(default_nodename(f"{name}@{gethostname()}"))


def flower_arguments(settings: Settings) -> list[str]:
    """Flower with its history kept; user and password travel in the environment."""
    place = [f"--address={settings.flower_address}", f"--port={settings.flower_port}"]
    history = ["--persistent=True", f"--db={settings.state_dir / 'flower'}", "--state_save_interval=60000"]
    shown = "--tasks_columns=name,uuid,state,kwargs,result,received,runtime,worker"
    # A page that may stop workers could be made to by any other page in the same browser.
    limits = ["--read_only=True", "--max_tasks=10000"]
    return [*_PYTHON, "celery", "-A", "worker.app", "flower", *place, *history, shown, *limits]


def flower_environment(settings: Settings) -> dict[str, str]:
    """What Flower reads: without a password its pages show what is in Redis, so it listens on this machine only."""
    if settings.flower_auth is not None:
        return {"FLOWER_BASIC_AUTH": settings.flower_auth.get_secret_value()}
    return {"FLOWER_UNAUTHENTICATED_API": "true"}


def service_arguments(part: str, *arguments: str) -> list[str]:
    """`nightread PART ...`."""
    return [*_PYTHON, "cli", part, *arguments]


def child(name: str, arguments: Sequence[str], settings: Settings, **environment: str) -> Child:
    """A child with these very settings, its output in `logs/NAME.log` of the state folder."""
    return Child(
        name=name,
        arguments=arguments,
        environment={**settings.to_environment(), **environment},
        folder=settings.state_dir,
        log_file=Path(settings.state_dir) / "logs" / f"{name}.log",
    )
