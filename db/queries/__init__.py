"""What people ask. Nothing here writes."""

from db.queries.consistency import RULES, Violation, violations
from db.queries.filters import ImageFilter
from db.queries.fleet import Worker, batches_of, known_batches, open_batches, unclaimed_batches, workers
from db.queries.images import COLUMNS, images
from db.queries.pace import Pace, Worked, latest_batches, oldest_waiting, pace, rate
from db.queries.pauses import Outcomes, Pause, latest_outcomes, pauses, probe_outcomes
from db.queries.retriable import Retriable, retriable
from db.queries.routes import Route, routes_in_force
from db.queries.sources import Source, missing_from_ledger, sources, uris_of
from db.queries.tally import Tally, reasons, tally, unfinished
from db.queries.truths import Coverage, ResultWithTruth, coverage, known_keys, results_with_truth

__all__ = [
    "COLUMNS",
    "RULES",
    "Coverage",
    "ImageFilter",
    "Outcomes",
    "Pace",
    "Pause",
    "ResultWithTruth",
    "Retriable",
    "Route",
    "Source",
    "Tally",
    "Violation",
    "Worked",
    "Worker",
    "batches_of",
    "coverage",
    "images",
    "known_batches",
    "known_keys",
    "latest_batches",
    "latest_outcomes",
    "missing_from_ledger",
    "oldest_waiting",
    "open_batches",
    "pace",
    "pauses",
    "probe_outcomes",
    "rate",
    "reasons",
    "results_with_truth",
    "retriable",
    "routes_in_force",
    "sources",
    "tally",
    "unclaimed_batches",
    "unfinished",
    "uris_of",
    "violations",
    "workers",
]
