"""Define a click group that imports a command when it is called."""

import gc
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import ClassVar

import click
from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group whose commands are imported on use, so that a fast command does not load the libraries of a slow one.

    The help and the completion of the group read only the table `commands_in`.
    """

    commands_in: ClassVar[Mapping[str, tuple[str, str]]]
    """By command name: the module that defines the command, and the first sentence of the command's help.

    The module names the command `<name>_command`, with underscores instead of dashes. A test compares the sentences
    with the commands.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the command names, in the order of the table."""
        return list(self.commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the command; return None for an unknown name."""
        if cmd_name not in self.commands_in:
            return None
        module, _ = self.commands_in[cmd_name]
        command: click.Command = getattr(_import(module), f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands as click does, without importing them."""
        width = formatter.width - 6 - max(map(len, self.commands_in))
        rows = [(name, _shortened(text, width)) for name, (_, text) in self.commands_in.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with this text, as click does, without importing commands."""
        commands = [
            CompletionItem(name, help=_shortened(text))
            for name, (_, text) in self.commands_in.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]


def _shortened(text: str, width: int = 45) -> str:
    """Shorten a sentence for a list of commands, as click does."""
    return click.Command(None, help=text).get_short_help_str(width)


def _import(name: str) -> ModuleType:
    """Import a module without garbage collections: they would find nothing, and take a tenth of a short command's time.

    Later collections skip the imported objects.
    """
    if name in sys.modules or not gc.isenabled():
        return import_module(name)
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()
