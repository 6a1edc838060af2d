"""Define `nightread drain`: let a worker finish its batches and take no more."""

from collections.abc import Sequence
from typing import Any

import click

from cli.inputs.existing_database import ANSWER_SECONDS, one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import out
from cli.wording import counted
from db import ledger, queries
from db.engine import Database
from nightread.clock import utc_now
from nightread.errors import UsageFault


@click.command("drain")
@click.argument("nodes", nargs=-1, required=True, metavar="WORKER...")
@click.option("--end", is_flag=True, help="Let the workers take batches again.")
@state_options
def drain_command(nodes: tuple[str, ...], *, end: bool, **options: Any) -> None:
    """Let workers finish their batches and take no more.

    Name the workers as `nightread status` shows them. A worker starts to drain within two seconds, and drains until a
    restart or --end. When `nightread status` shows no batch left for the worker, you can stop it at once. After SIGTERM
    a worker also takes no more batches and finishes its batches, but then it exits.

    \b
    Examples: nightread drain worker@gpu-1
              nightread drain worker@gpu-1 --end
    """  # noqa: D301 - click reads the backspace itself
    change = ledger.end_drain if end else ledger.drain
    with open_existing_database(settings_from(**options), answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
        _require_workers(database, nodes)
        for node in dict.fromkeys(nodes):
            changed = change(database, node, actor=user_name(), now=utc_now())
            out.print(_after(database, node, end=end, changed=changed), markup=False)


def _require_workers(database: Database, nodes: Sequence[str]) -> None:
    known = {worker.node for worker in queries.workers(database, now=utc_now())}
    for node in nodes:
        if node not in known:
            listed = f"the workers are {', '.join(sorted(known))}" if known else "no worker is running"
            raise UsageFault(f"There is no worker {node}: {listed}.")


def _after(database: Database, node: str, *, end: bool, changed: bool) -> str:
    if end:
        return f"{node} takes batches again." if changed else f"{node} was not draining."
    left = queries.batches_of(database, node)
    finishes = f"it finishes {counted(left, 'batch', 'batches')}" if left else "it has no batch left"
    return f"{node} {'drains' if changed else 'drains already'}: {finishes}, and takes no more."
