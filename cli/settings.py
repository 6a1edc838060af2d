"""Define `nightread settings`: list all settings with their current values and meanings."""

import json
import textwrap
from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.text import Text

from cli.inputs.options import settings_from, state_options
from cli.output.console import err, out, print_json
from nightread.server_settings import ServerSettings
from nightread.setting_problems import unknown_variables
from nightread.settings import Settings

_WIDTH = 80
_INDENT = "    "


@click.command("settings")
@click.option("--json", "as_json", is_flag=True, help="Print the current values as JSON; secrets are masked.")
@click.option(
    "--markdown", is_flag=True, help="Print the table of all settings and their defaults, as in docs/settings.md."
)
@state_options
def settings_command(*, as_json: bool, markdown: bool, **options: Any) -> None:
    """Show the current settings; secrets are masked.

    Each setting that you have set is marked with `*`, and its default follows.

    Example: NIGHTREAD_BATCH_IMAGES=128 nightread settings
    """
    if markdown:
        click.echo(markdown_table())
        return
    settings = settings_from(**options)
    for problem in unknown_variables():
        err.print(problem, markup=False, style="yellow")
    values = settings.model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    for name, field in _fields():
        _show(out, name, values[name], field, is_set=name in settings.model_fields_set)


def markdown_table() -> str:
    """Return a table of all settings with variables and defaults; a test compares docs/settings.md with it."""
    rows = [f"| `NIGHTREAD_{name.upper()}` | {_default(field)} | {field.description} |" for name, field in _fields()]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _fields() -> list[tuple[str, FieldInfo]]:
    """Return all settings; those of the web servers (Flower, HTTP API) come last."""
    of_servers = ServerSettings.model_fields
    own = [(name, field) for name, field in Settings.model_fields.items() if name not in of_servers]
    return own + [(name, Settings.model_fields[name]) for name in of_servers]


def _show(console: Console, name: str, value: object, field: FieldInfo, *, is_set: bool) -> None:
    """Print one setting: a line with its value, and its meaning below, folded to the width of the screen."""
    mark, default = ("* ", _default(field)) if is_set else ("  ", "")
    line = f"{mark}{name} = {_shown(value) or 'unset'}" + (f"   (default {default.strip('`')})" if default else "")
    console.print(Text(line, style="bold" if is_set else ""))
    width = min(console.width, _WIDTH) if console.is_terminal else _WIDTH
    for entry in _entries(value):
        for folded in textwrap.wrap(entry, width, initial_indent=f"{_INDENT}- ", subsequent_indent=_INDENT * 2):
            console.print(folded)
    meaning = textwrap.wrap(field.description or "", width, initial_indent=_INDENT, subsequent_indent=_INDENT)
    for folded in meaning:
        console.print(folded, style="dim")


def _entries(value: object) -> list[str]:
    """Return one line per source or destination, without the keys that are unset."""
    entries = value if isinstance(value, list) else []
    tables = [entry for entry in entries if isinstance(entry, dict)]
    return [
        ", ".join(f"{key} {json.dumps(part)}" for key, part in table.items() if part not in (None, []))
        for table in tables
    ]


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value in ((), {}):
        return ""
    return f"`{_shown(str(value) if isinstance(value, Path) else value)}`"


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        tables = sum(isinstance(entry, dict) for entry in value)
        return f"{tables} given" if tables else " ".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {part}" for key, part in value.items())
    return "" if value is None else str(value)
