"""Build the command lines of the services that run as child processes."""

import sys
from collections.abc import Sequence
from pathlib import Path

from celery.utils.nodenames import default_nodename, gethostname

from cli.embedded.supervisor import Child
from nightread.hardware import slots
from nightread.settings import Settings

_PYTHON = (sys.executable, "-P", "-m")


def worker_arguments(settings: Settings, name: str = "nightread") -> list[str]:
    """Return the command of a prefork worker with one process per GPU or core.

    A crash ends only one worker process, and only worker processes load TensorFlow. Workers of one host that use the
    same database need different names.
    """
    pool = ["--pool", "prefork", "--concurrency", str(slots(settings)), "-O", "fair"]
    # Workers do not need to know each other: without gossip and mingle they are ready in 0.4 s instead of 1.5 s.
    quiet = ["--without-gossip", "--without-mingle", "--loglevel", settings.log_level]
    return [*_PYTHON, "worker", "celery", "-A", "worker.app", "worker", "--hostname", f"{name}@%h", *pool, *quiet]


def worker_node(name: str = "nightread") -> str:
    """Return the name of this host's worker in the database."""
    return str(default_nodename(f"{name}@{gethostname()}"))


def flower_arguments(settings: Settings) -> list[str]:
    """Return the command that starts Flower with a persistent history; its login is not on the command line."""
    place = [f"--address={settings.flower_address}", f"--port={settings.flower_port}"]
    history = ["--persistent=True", f"--db={settings.state_dir / 'flower'}", "--state_save_interval=60000"]
    shown = "--tasks_columns=name,state,result,kwargs,received,runtime,uuid,worker"
    # Read-only: nobody needs to stop workers from a browser.
    limits = ["--read_only=True", "--max_tasks=10000"]
    return [*_PYTHON, "cli.embedded.flower_server", "-A", "worker.app", "flower", *place, *history, shown, *limits]


def service_arguments(service: str, *arguments: str) -> list[str]:
    """Return the command `nightread SERVICE ARGUMENTS`."""
    return [*_PYTHON, "cli", service, *arguments]


def child(name: str, arguments: Sequence[str], settings: Settings, **environment: str) -> Child:
    """Describe a child process: it gets these settings, and its output goes to `logs/NAME.log` of the state folder."""
    return Child(
        name=name,
        arguments=arguments,
        environment={**settings.to_environment(), **environment},
        folder=settings.state_dir,
        log_file=Path(settings.state_dir) / "logs" / f"{name}.log",
    )
