"""Name the groups of modules that are mutated, and the tests that concern them."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Modules that are tested together."""

    name: str
    modules: tuple[str, ...]
    """Patterns of paths below the root of the repository."""
    tests: tuple[str, ...]
    """Patterns of test files: unit tests, and integration tests that need neither a server nor Keras."""

    leave_out: tuple[str, ...] = ("microseconds",)
    """Parts of the ids of tests that are not used: tests of speed, time limits and races say nothing of a mutant."""

    def module_paths(self) -> list[str]:
        """Return the paths of the modules below the root, in alphabetical order."""
        return _listed(self.modules)

    def paths_of_tests(self) -> list[str]:
        """Return the paths of the test files below the root, in the order of the patterns."""
        return _listed(self.tests)


def _listed(patterns: tuple[str, ...]) -> list[str]:
    found = (path for pattern in patterns for path in sorted(ROOT.glob(pattern)))
    return list(dict.fromkeys(str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py"))


GROUPS = (
    Group(
        name="imaging",
        modules=("imaging/*.py",),
        tests=("tests/unit/imaging/*.py", "tests/unit/test_traits.py", "tests/metamorphic/test_*.py"),
    ),
    Group(
        name="ledger",
        modules=("db/ledger/*.py",),
        tests=(
            "tests/unit/test_settled_versions.py",
            "tests/integration/test_ledger_*.py",
            "tests/integration/test_retry.py",
            "tests/integration/test_studies.py",
            "tests/integration/test_clock_jumps.py",
            "tests/integration/test_queries_consistency.py",
            "tests/integration/test_delivery_ledger.py",
            "tests/integration/test_recovery.py",
            "tests/integration/test_alarm_rows.py",
            "tests/integration/test_bulk_statements.py",
            "tests/integration/test_cancel.py",
            "tests/integration/test_dispatch_urgent.py",
            "tests/integration/test_drain.py",
            "tests/integration/test_former_contents.py",
            "tests/integration/test_opt_outs.py",
            "tests/integration/test_purge*.py",
            "tests/integration/test_reruns_ledger.py",
            "tests/integration/test_result_rules.py",
            "tests/integration/test_retention.py",
            "tests/integration/test_seen_parts.py",
            "tests/integration/test_series_[forsv]*.py",
            "tests/integration/test_trace.py",
            "tests/integration/test_views.py",
            "tests/unit/test_api_keys.py",
        ),
        leave_out=("test_ledger_races", "test_ledger_plans", "test_recovery", "many_senders"),
    ),
    Group(
        name="outcomes",
        modules=("worker/error_outcomes.py", "worker/results.py", "worker/reading.py"),
        tests=(
            "tests/unit/test_worker_error_outcomes.py",
            "tests/unit/test_worker_still_arriving.py",
            "tests/unit/test_worker_re*.py",
            "tests/integration/test_worker_analyse.py",
            "tests/integration/test_worker_expand.py",
            "tests/integration/test_worker_routing.py",
            "tests/integration/test_files_still_arriving.py",
        ),
        leave_out=("long_cine", "too_long", "timer"),
    ),
    Group(
        name="folders",
        modules=("producer/folders/settling.py", "producer/folders/folder.py", "producer/folders/walk.py"),
        tests=("tests/unit/test_folder_*.py", "tests/integration/test_folder_run.py"),
    ),
    Group(
        name="postprocessing",
        modules=("models/postprocessing.py",),
        tests=("tests/unit/test_models_postprocessing*.py", "tests/unit/test_models_bundle.py"),
    ),
    Group(name="routing", modules=("models/routing.py",), tests=("tests/unit/test_routing.py",)),
    Group(
        name="measure",
        modules=("models/evaluation/measure.py",),
        tests=("tests/unit/test_evaluation_*.py",),
    ),
    Group(
        name="delivery",
        modules=("delivery/*.py",),
        tests=(
            "tests/unit/test_delivery_*.py",
            "tests/integration/test_delivery_destinations.py",
            "tests/integration/test_delivery_studies.py",
            "tests/integration/test_delivery_attempts.py",
            "tests/integration/test_delivery_rounds.py",
            "tests/integration/test_delivery_selection.py",
        ),
    ),
)
