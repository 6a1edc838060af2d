"""Write the command-line reference from the click commands themselves."""

import inspect
import re
from collections.abc import Iterator

import click

from cli.main import cli

_SPECIAL = re.compile(r"([\\*_<>\[\]|#])")


def cli_reference() -> str:
    """Return one Markdown page with a section for each command: its usage, its help text and its options."""
    head = "# Commands\n\nEvery command prints the same text with `--help`. Exit codes: 0 success, 1 something failed, "
    head += "2 wrong usage or a state in which the command cannot work, 70 a bug in nightread.\n"
    return "\n".join([head, *_sections(cli, click.Context(cli, info_name="nightread"))])


def _sections(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield _section(command, inner)
        if isinstance(command, click.Group):
            yield from _sections(command, inner)


def _section(command: click.Command, context: click.Context) -> str:
    depth = len(context.command_path.split())
    usage = command.get_usage(context).removeprefix("Usage: ")
    parts = [
        f"{'#' * depth} `{context.command_path}`",
        f"```text\n{usage}\n```",
        *_paragraphs(command.help or ""),
        _options(command, context),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text. Examples and paragraphs that click does not wrap (backspace) become code."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b"):
            kept = paragraph.removeprefix("\b").strip("\n")
            yield f"```text\n{kept}\n```"
        elif paragraph.startswith("Example: "):
            example = " ".join(paragraph.removeprefix("Example: ").split())
            yield f"```console\n$ {example}\n```"
        else:
            yield _escaped(" ".join(paragraph.split()))


def _options(command: click.Command, context: click.Context) -> str:
    records = [record for option in command.get_params(context) if (record := option.get_help_record(context))]
    records = [record for record in records if "--help" not in record[0]]
    if not records:
        return ""
    rows = [f"| `{_in_cell(names)}` | {_escaped(' '.join(text.split()))} |" for names, text in records]
    return "\n".join(["| option | meaning |", "| --- | --- |", *rows])


def _in_cell(code: str) -> str:
    return code.replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return the text as Markdown. Special characters are escaped, except in `code`."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one backtick is unpaired
        return _SPECIAL.sub(r"\\\1", text).replace("`", "\\`")
    return "`".join(_in_cell(part) if index % 2 else _SPECIAL.sub(r"\\\1", part) for index, part in enumerate(parts))
