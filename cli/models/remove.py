"""Run `nightread models remove`: delete a bundle that is not in use."""

import shutil
from pathlib import Path
from typing import Any

import click

from cli.inputs.options import settings_from, state_options
from cli.models.active import read_active
from cli.output.console import out
from models.bundle import CARD_FILE
from models.catalogue import SHIPPED, Entry, entries
from nightread.errors import UsageFault
from nightread.plain_text import visible
from nightread.settings import Settings


@click.command("remove")
@click.argument("reference", metavar="NAME@VERSION")
@click.option("--yes", is_flag=True, help="Delete without confirmation.")
@state_options
def remove_command(reference: str, yes: bool, **options: Any) -> None:
    """Delete a model that is not active.

    Its results stay in the database.

    Example: nightread models remove chest@1.0
    """
    settings = settings_from(**options)
    entry = removable(reference, settings, _in_use(settings))
    if not yes:
        folder = visible(str(entry.path))
        click.confirm(
            f"Delete {folder}? Its results are kept, but they can no longer be explained or reproduced", abort=True
        )
    _delete(entry.path)
    out.print(f"Removed {reference}.", markup=False)


def _delete(folder: Path) -> None:
    """Delete the folder of a bundle.

    The card is deleted first, so that a worker that starts meanwhile finds a complete bundle or none.
    """
    try:
        if folder.is_symlink():  # delete only the link, because its target is outside of the bundle folders
            folder.unlink()
            return
        (folder / CARD_FILE).unlink()
        shutil.rmtree(folder)
    except OSError as error:
        raise UsageFault(f"Cannot delete {folder} ({type(error).__name__}): check its permissions.") from error


def removable(reference: str, settings: Settings, active: set[str]) -> Entry:
    """Find the bundle to delete. Raises UsageFault if it ships with nightread, is active, or does not exist."""
    if "@" not in reference:
        raise UsageFault(f"Give the version: {reference}@VERSION. `nightread models list` shows the versions.")
    found = [entry for entry in entries(settings.bundle_folders) if entry.reference == reference]
    if not found:
        raise UsageFault(f"There is no model {reference}: `nightread models list` shows the available models.")
    own = [entry for entry in found if not entry.path.is_relative_to(SHIPPED)]
    if not own:
        raise UsageFault(f"{reference} ships with nightread and cannot be removed.")
    if reference in active:
        raise UsageFault(f"{reference} is active: run `nightread models deactivate {reference}` first.")
    return own[0]


def _in_use(settings: Settings) -> set[str]:
    """Return `NAME@VERSION` of each bundle that NIGHTREAD_MODEL or an active rule names."""
    references = set(read_active(settings).references)
    if settings.model is not None:
        known = entries(settings.bundle_folders)
        references.add(next((entry.reference for entry in known if entry.name == settings.model), settings.model))
    return references
