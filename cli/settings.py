"""Define `nightread settings`: list all settings with their current values and meanings."""

from pathlib import Path
from typing import Any

import click
from pydantic.fields import FieldInfo
from rich.text import Text

from cli.inputs.options import settings_from, state_options
from cli.output.console import out, print_json
from cli.output.tables import make_table, show
from nightread.settings import Settings


@click.command("settings")
@click.option("--json", "as_json", is_flag=True, help="Print the current values as JSON; secrets are masked.")
@click.option(
    "--markdown", is_flag=True, help="Print the table of all settings and their defaults, as in docs/settings.md."
)
@state_options
def settings_command(*, as_json: bool, markdown: bool, **options: Any) -> None:
    """Show the current settings; secrets are masked.

    Example: NIGHTREAD_BATCH_IMAGES=128 nightread settings
    """
    if markdown:
        click.echo(markdown_table())
        return
    settings = settings_from(**options)
    values = settings.model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    table = make_table(out, "setting", "value", "meaning")
    for name, field in Settings.model_fields.items():
        style = "bold" if name in settings.model_fields_set else ""
        table.add_row(name, Text(_shown(values[name]), style=style), Text(field.description or ""))
    show(out, table)


def markdown_table() -> str:
    """Return a table of all settings with variables and defaults; a test compares docs/settings.md with it."""
    rows = [
        f"| `NIGHTREAD_{name.upper()}` | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "| --- | --- | --- |", *rows])


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value in ((), {}):
        return ""
    return f"`{_shown(str(value) if isinstance(value, Path) else value)}`"


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value in (None, {}) else str(value)
