"""List the available bundles and find one of them by `NAME[@VERSION]`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.bundle import CARD_FILE, Bundle, load_bundle, read_card
from nightread.errors import StopWork, UsageFault

SHIPPED = Path(__file__).parent / "bundles"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A folder that contains a bundle.json. The bundle is not verified yet; load_bundle verifies it."""

    name: str
    version: str
    path: Path
    problem: str | None = None
    """Why bundle.json cannot be read, or None. If set, `name` is the name of the folder and `version` is empty."""

    @property
    def reference(self) -> str:
        """Return `NAME@VERSION`, or the name alone if the version is unknown."""
        return f"{self.name}@{self.version}" if self.version else self.name


def entries(folders: Sequence[Path] = ()) -> list[Entry]:
    """List the shipped bundles and those in sub-folders of `folders`, sorted by name, the newest version first."""
    found = [entry for folder in (SHIPPED, *folders) for entry in _entries_in(folder)]
    newest_first = sorted(found, key=lambda entry: _version_key(entry.version), reverse=True)
    return sorted(newest_first, key=lambda entry: entry.name)


def find_bundle(reference: str, folders: Sequence[Path] = ()) -> Bundle:
    """Load and verify `NAME@VERSION`, or the newest version of `NAME`.

    Raises UsageFault for an unknown name (the message lists the known models), and if two different bundles have the
    same name and version. Raises StopWork if the bundle itself cannot be used.
    """
    known = entries(folders)
    name, _, version = reference.partition("@")
    matching = [entry for entry in known if entry.name == name and version in ("", entry.version)]
    if not matching:
        names = ", ".join(dict.fromkeys(entry.reference for entry in known)) or "none"
        raise UsageFault(f"there is no model {reference}; known models: {names}")
    chosen = load_bundle(matching[0].path)
    for other in matching[1:]:
        if other.version == matching[0].version and load_bundle(other.path).digest != chosen.digest:
            raise UsageFault(f"{chosen.reference} exists twice and differs: {chosen.path} and {other.path}; remove one")
    return chosen


def bundle_of_result(reference: str, digest: str, folders: Sequence[Path] = ()) -> Bundle | None:
    """Load and verify the bundle `NAME@VERSION` that has this digest; None if no folder holds it any more."""
    for entry in entries(folders):
        if entry.reference == reference:
            bundle = load_bundle(entry.path)
            if bundle.digest == digest:
                return bundle
    return None


def _entries_in(folder: Path) -> Iterator[Entry]:
    for card in sorted(folder.glob(f"*/{CARD_FILE}")):
        yield _entry(card.parent)


def _entry(folder: Path) -> Entry:
    try:
        card = read_card(folder)
    except StopWork as problem:
        return Entry(name=folder.name, version="", path=folder, problem=str(problem))
    return Entry(name=str(card.get("name", folder.name)), version=str(card.get("version", "")), path=folder)


def _version_key(version: str) -> list[tuple[int, int, str]]:
    """Return a sort key that compares numbers as numbers: 1.10 is newer than 1.9."""
    parts = re.findall(r"\d+|[^\d.]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
