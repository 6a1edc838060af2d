"""Define `nightread parts`: list the parts of nightread, and forget parts that were removed on purpose."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.text import Text

from cli.inputs.existing_database import ANSWER_SECONDS, one_line_errors, open_existing_database
from cli.inputs.options import settings_from, state_options
from cli.inputs.user import user_name
from cli.output.console import err, out, print_json
from cli.output.tables import make_table, show
from db import ledger
from db.condition import Part, read_parts
from db.condition.words import NAMES
from db.ledger import PartKind
from nightread.clock import utc_now
from nightread.wording import duration


@click.group("parts", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@state_options
@click.pass_context
def parts_command(context: click.Context, /, *, as_json: bool, **options: Any) -> None:
    """List the parts of nightread by host, with their latest heartbeats.

    \b
    Examples: nightread parts
              nightread parts forget gpu-2
    """  # noqa: D301 - click reads the backspace itself
    if context.invoked_subcommand is not None:
        return
    settings = settings_from(**options)
    with open_existing_database(settings, answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
        found = read_parts(database, settings, now=utc_now())
    if as_json:
        print_json([_json(part) for part in found])
        return
    table = make_table(out, "part", "name", "state", "last seen")
    for part in found:
        ago = "" if part.seconds is None else f"{duration(part.seconds)} ago"
        table.add_row(Text(NAMES[part.kind]), Text(part.node or ""), part.state.value, ago)
    show(out, table)


@parts_command.command("forget")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--part",
    type=click.Choice([kind.value for kind in PartKind]),
    help="Forget only the part of this kind [all parts with this name].",
)
@state_options
def forget_command(names: tuple[str, ...], *, part: str | None, **options: Any) -> None:
    """Forget parts that were removed on purpose, so that they are no longer reported as silent.

    Give their names as `nightread parts` shows them. A part that sends heartbeats cannot be forgotten: stop it first.
    A forgotten part that the settings need is reported as missing. Each removal is written to the audit table.

    \b
    Examples: nightread parts forget gpu-2
              nightread parts forget old-host --part receiver
    """  # noqa: D301 - click reads the backspace itself
    settings, kind = settings_from(**options), PartKind(part) if part else None
    refused = False
    with open_existing_database(settings, answer_seconds=ANSWER_SECONDS) as database, one_line_errors():
        for name in dict.fromkeys(names):
            removed = ledger.forget_part(database, name, part=kind, actor=user_name(), now=utc_now())
            known = [each for each in read_parts(database, settings, now=utc_now()) if each.node == name]
            alive = [each for each in known if kind in (None, each.kind)]
            refused |= bool(alive)
            for line in _forgotten(name, removed, alive):
                (err if alive else out).print(line, markup=False)
    if refused:
        sys.exit(1)


def _forgotten(name: str, removed: Sequence[str], alive: Sequence[Part]) -> list[str]:
    if removed:
        kinds = ", ".join(NAMES[PartKind(kind)] for kind in removed)
        lines = [f"{name}: forgotten ({kinds})."]
    else:
        lines = [] if alive else [f"{name}: no part has this name any more."]
    return [
        *lines,
        *(f"{name}: the {NAMES[part.kind]} sent a heartbeat within the last minute: stop it first." for part in alive),
    ]


def _json(part: Part) -> dict[str, Any]:
    row = asdict(part) | {"part": part.kind.value, "state": part.state.value}
    for name in ("seen_at", "heartbeat_at"):
        row[name] = None if row[name] is None else row[name].isoformat()
    return {name: row[name] for name in ("part", "node", "state", "seen_at", "heartbeat_at", "seconds", "expected")}
