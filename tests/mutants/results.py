"""Keep the verdicts of mutants between runs, and the list of equivalent mutants."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mutants.sites import Mutant
from mutants.trial import Verdict

_NOTICED = (Verdict.KILLED, Verdict.TIMEOUT)
EQUIVALENT_LIST = Path(__file__).with_name("equivalent.toml")


class Results:
    """The verdicts of one module, in a JSON file. A verdict is valid until its function or its tests change."""

    def __init__(self, folder: Path, module: str, tests_digest: str) -> None:
        self._path = folder / f"{module.replace('/', '.')}.json"
        self._tests_digest = tests_digest
        self._known: dict[str, dict[str, str]] = {}
        if self._path.exists():
            self._known = json.loads(self._path.read_text("utf-8"))

    def verdict(self, mutant: Mutant) -> Verdict | None:
        """Return the valid verdict of a mutant. A change of the tests makes only those of survivors invalid."""
        found = self._known.get(mutant.identity)
        if found is None or found["digest"] != mutant.digest:
            return None
        verdict = Verdict(found["verdict"])
        return verdict if verdict in _NOTICED or found["tests"] == self._tests_digest else None

    def add(self, mutant: Mutant, verdict: Verdict) -> None:
        """Store a verdict at once, so that a run that is stopped continues where it was."""
        self._known[mutant.identity] = {
            "digest": mutant.digest,
            "tests": self._tests_digest,
            "verdict": verdict.value,
        }
        self._path.write_text(json.dumps(self._known, indent=1), "utf-8")


def digest_of(paths: Iterable[Path]) -> str:
    """Return a digest of the contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def load_equivalent(path: Path = EQUIVALENT_LIST) -> Mapping[str, Mapping[str, str]]:
    """Return the mutants that no test can notice: module -> identity -> reason."""
    return tomllib.loads(path.read_text("utf-8"))


def is_noticed(verdict: Verdict) -> bool:
    """Return whether the tests noticed a mutant with this verdict."""
    return verdict in _NOTICED
