"""Was anything lost, done twice, or passed over in silence? By the harness' own list, then by `nightread audit`."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from db import queries
from db.engine import Database
from db.queries import ImageFilter

from .arrivals import File
from .system import System
from .transitions import illegal_transitions

Outcome = tuple[str, str | None, str | None]
"""State, reason, label."""


def reference(files: Sequence[File]) -> dict[str, Outcome]:
    """SHA-256 of each content -> its outcome in a `nightread run` in which nothing goes wrong."""
    with tempfile.TemporaryDirectory(prefix="nightread-chaos-") as place:
        inbox, state = Path(place) / "inbox", Path(place) / "state"
        inbox.mkdir()
        for file in files:
            (inbox / digest(file.content)).write_bytes(file.content)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTREAD_")}
        nightread = [sys.executable, "-P", "-m", "cli"]
        where = ("--state", str(state))
        run = [*nightread, "run", str(inbox), *where, "--model", "phantom"]
        subprocess.run(run, env=inherited, capture_output=True, check=True)
        query = [*nightread, "query", *where, "--format", "json"]
        told = subprocess.run(query, env=inherited, capture_output=True, text=True, check=True)
    rows = json.loads(told.stdout)
    return {Path(row["uri"]).name: (row["state"], row["reason"], row["label"]) for row in rows}


def violations(system: System, database: Database, files: Sequence[File], expected: dict[str, Outcome]) -> list[str]:
    """What does not hold, in words; empty is how it should be."""
    return [
        *_by_own_list(system, database, files, expected),
        *illegal_transitions(database),
        *_by_audit(system),
    ]


def digest(content: bytes) -> str:
    """By which contents are told apart."""
    return hashlib.sha256(content).hexdigest()


def _by_own_list(
    system: System, database: Database, files: Sequence[File], expected: dict[str, Outcome]
) -> Iterator[str]:
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in queries.images(database, ImageFilter()):
        rows[os.path.relpath(row["uri"], system.inbox)].append(row)
    done: defaultdict[str, int] = defaultdict(int)
    for file in files:
        found = sorted(rows.pop(file.name, []), key=lambda row: row["image_id"])
        if not found or (len(found) > 1 and file.manner == "rename"):
            yield f"{file.name}: {len(found)} arrivals"
            continue
        last, wanted = found[-1], expected[digest(file.content)]
        outcome = (last["state"], last["reason"], last["label"])
        done[digest(file.content)] += outcome[0] == "done"
        if outcome != wanted and not (outcome[0] == "duplicate" and wanted[0] == "done"):
            yield f"{file.name}: {outcome} instead of {wanted}"
        yield from (
            f"{file.name}: an earlier version is {row['state']}" for row in found[:-1] if row["state"] == "done"
        )
    wanted_once = {sha256 for sha256, outcome in expected.items() if outcome[0] == "done"}
    yield from (f"content {sha256[:12]} is done {done[sha256]} times" for sha256 in wanted_once if done[sha256] != 1)
    yield from (f"{name}: an arrival that nobody sent" for name in rows)


def _by_audit(system: System) -> Iterator[str]:
    told = system.command("audit", "--json")
    if not told.stdout:
        yield f"audit said nothing: {told.stderr[-500:]}"
        return
    report = json.loads(told.stdout)
    yield from (f"audit: {violation}" for violation in report["violations"])
    yield from (f"audit: no row for {path}" for folder in report["folders"] for path in folder["without_row"])
    yield from (f"audit: {task} in Redis is no batch" for task in report["queue"]["foreign"])
