"""List, check and write cells of the matrix, and compare them with other programs."""

import argparse
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from metamorphic.axes import AXES, Cell
from metamorphic.cells import write
from metamorphic.combinations import choose_rows, plainest_rows
from metamorphic.judge import complaint
from metamorphic.peers import Show, differences, peers
from metamorphic.rules import RULES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit code 1: a checked cell is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.metamorphic", description=__doc__)
    parser.add_argument("--compare", action="store_true", help="list the levels that other programs show differently")
    commands = parser.add_subparsers(dest="command")
    listing = commands.add_parser("list", help="print the ids of all cells")
    listing.add_argument("--strength", type=int, choices=(2, 3), default=2, help="all pairs or all threes of levels")
    check = commands.add_parser("check", help="read cells and say what is wrong; exit code 1 if anything is")
    check.add_argument("cell", nargs="+", help="ids of cells")
    files = commands.add_parser("write", help="write the file of each cell into a folder")
    files.add_argument("folder", type=Path)
    files.add_argument("cell", nargs="+", help="ids of cells")
    given = parser.parse_args(arguments)
    if given.compare:
        return _compare()
    if given.command == "list":
        return _print(Cell(*row).id for row in choose_rows(AXES, RULES, given.strength))
    if given.command == "check":
        return _check([Cell.from_id(text) for text in given.cell])
    if given.command == "write":
        return _write(given.folder, given.cell)
    parser.print_help()
    return 2


def _print(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return 0


def _check(cells: list[Cell]) -> int:
    found = {cell: complaint(cell) for cell in cells}
    _print(f"{cell.id}: {words or 'as expected'}" for cell, words in found.items())
    return int(any(found.values()))


def _write(folder: Path, ids: list[str]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(ids):
        path = folder / f"{number:03}.dcm"
        path.write_bytes(write(Cell.from_id(text)).data)
        print(f"{path}: {text}")
    return 0


def _compare() -> int:
    """Show each level of each axis in the plainest cell of each syntax with each program, and print what differs."""
    cells = list(dict.fromkeys(Cell(*row) for row in plainest_rows(AXES, RULES)))
    print(f"{len(cells)} cells: each level in the plainest file of each transfer syntax")
    for name, show in peers().items():
        unread = _unread(cells, show)
        print(f"\n{name} does not decode: {', '.join(unread) or 'nothing'}")
        by_level: dict[str, list[tuple[Cell, str]]] = defaultdict(list)
        for cell, difference in differences((cell for cell in cells if cell.syntax not in unread), show):
            by_level[_level(cell)].append((cell, difference))
        print(f"{name} differs from the standard, or from what the writers mean, in:")
        for level, found in by_level.items():
            cell, difference = found[0]
            print(f"  {len(found):3} {level}: {difference} ({cell.syntax})")
    return 0


def _unread(cells: list[Cell], show: Show) -> list[str]:
    """Return the transfer syntaxes whose plainest file a program does not show."""
    plainest = {cell.syntax: cell for cell in reversed(cells) if _level(cell).startswith("bits=")}
    return [cell.syntax for cell, _ in differences(plainest.values(), show)]


def _level(cell: Cell) -> str:
    """Return what is special about a cell: its levels that are not the first ones of their axes."""
    usual = {"bits", "precision", "items", "syntax"}
    special = [
        f"{axis}={level}"
        for axis, level in zip(AXES, cell, strict=True)
        if level != AXES[axis][0] and axis not in usual
    ]
    rare = [f"{axis}={getattr(cell, axis)}" for axis in ("bits", "items") if not special]
    return " ".join(special or rare)
