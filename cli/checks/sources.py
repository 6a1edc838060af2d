"""Check the folders of images: they exist, are readable, and contain neither each other nor the state folder."""

import os
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from cli.checks.check import Check
from nightread.settings import Settings
from nightread.sources import FolderSource


def check_sources(settings: Settings) -> Iterator[Check]:
    """Check each folder of the settings, at its path on this host."""
    folders = {
        source.name: settings.roots.get(source.name, source.path)
        for source in settings.sources
        if isinstance(source, FolderSource)
    }
    for name in settings.roots.keys() - {source.name for source in settings.sources}:
        remedy = "Correct the name, or remove it: `sources` in the settings and `nightread status` have the names."
        if settings.sources:
            yield Check.warn("roots", f"there is no source {name}", remedy)
    for name, folder in folders.items():
        yield _check(f"source {name}", folder, settings)
    yield from _nested(folders)


def _check(name: str, folder: Path, settings: Settings) -> Check:
    try:
        if not folder.exists():
            remedy = (
                "Create or mount it, or correct the path; its images wait. Hosts that only dispatch need no folder."
            )
            return Check.fail(name, f"{folder} does not exist", remedy)
        if not folder.is_dir():
            return Check.fail(name, f"{folder} is not a folder", "Correct the path.")
    except OSError:
        return Check.fail(
            name, f"{folder} cannot be reached by this user", "Give this user access to its parent folders."
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        remedy = "Give the user of nightread the right to read it and the files in it."
        return Check.fail(name, f"{folder} is not readable", remedy)
    for own in (settings.state_dir, settings.spool_folder):
        if own.resolve().is_relative_to(folder.resolve()):
            remedy = "Every file that nightread writes would arrive as an image: move one of the two."
            return Check.fail(name, f"{own} lies in {folder}", remedy)
    return Check.ok(name, f"{folder} is readable")


def _nested(folders: dict[str, Path]) -> Iterator[Check]:
    resolved = {name: folder.resolve() for name, folder in folders.items()}
    for (inner, below), (outer, above) in permutations(resolved.items(), 2):
        if below.is_relative_to(above) and (below != above or inner > outer):
            remedy = "Every image arrives twice, once as a duplicate: watch one of the two."
            yield Check.warn(f"source {inner}", f"lies in the folder of source {outer}", remedy)
