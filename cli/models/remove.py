"""`nightread models remove`: a bundle that nobody needs any more."""

import shutil
from pathlib import Path
from typing import Any

import click

from cli.inputs.options import settings_from, state_options
from cli.models.active import active_references
from cli.output.console import out
from models.bundle import CARD_FILE
from models.catalogue import SHIPPED, Entry, entries
from nightread.errors import UsageFault
from nightread.settings import Settings


@click.command("remove")
@click.argument("reference", metavar="NAME@VERSION")
@click.option("--yes", is_flag=True, help="Do not ask.")
@state_options
def remove_command(reference: str, yes: bool, **options: Any) -> None:
    """Delete a bundle's folder. What it has found stays in the record.

    Example: nightread models remove chest@1.0
    """
    settings = settings_from(**options)
    entry = removable(reference, settings, _in_use(settings))
    if not yes:
        click.confirm(f"Delete {entry.path}? Its results stay, and can no longer be explained or repeated", abort=True)
    _delete(entry.path)
    out.print(f"{reference} is removed.", markup=False)


def _delete(folder: Path) -> None:
    """Its card goes first: a worker that starts meanwhile meets a whole bundle or none."""
    try:
        if folder.is_symlink():  # what it leads to is somebody else's
            folder.unlink()
            return
        (folder / CARD_FILE).unlink()
        shutil.rmtree(folder)
    except OSError as error:
        raise UsageFault(f"{folder} cannot be deleted ({type(error).__name__}): is it yours to write?") from error


def removable(reference: str, settings: Settings, active: set[str]) -> Entry:
    """The bundle that may go. Raises UsageFault for one that ships, that is in use, or that is not there."""
    if "@" not in reference:
        raise UsageFault(f"Say which version: {reference}@VERSION. `nightread models list` shows them.")
    found = [entry for entry in entries(settings.bundle_folders) if entry.reference == reference]
    if not found:
        raise UsageFault(f"There is no model {reference}: `nightread models list` shows those at hand.")
    own = [entry for entry in found if not entry.path.is_relative_to(SHIPPED)]
    if not own:
        raise UsageFault(f"{reference} ships with nightread and stays.")
    if reference in active:
        raise UsageFault(f"{reference} is active: `nightread models deactivate {reference}` first.")
    return own[0]


def _in_use(settings: Settings) -> set[str]:
    """`NAME@VERSION` of every bundle that images are sent to: by name, or by rules."""
    references = active_references(settings)
    if settings.model is not None:
        known = entries(settings.bundle_folders)
        references.add(next((entry.reference for entry in known if entry.name == settings.model), settings.model))
    return references
