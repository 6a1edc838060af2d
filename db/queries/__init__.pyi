from db.ledger.delivery_values import Delivery, DeliveryState
from db.queries.alarms import alarms, unsent_notices
from db.queries.api_keys import ApiKey, api_keys
from db.queries.archives import ArchiveTotals, archive_states, archive_totals
from db.queries.audit_entries import EntryScope, searched_since
from db.queries.batch_history import BatchRecord, NodeTotals, WorkerTotals, batch_records, node_totals
from db.queries.bundles import BundleLabels, bundle_by_id, bundles
from db.queries.compared import ComparedImage, ComparedImages, OneResult, compared_images, results_of_bundles
from db.queries.conflicts import ConflictingImage, conflicting_images, conflicts
from db.queries.consistency import RULES, Violation, violations
from db.queries.deliveries import deliveries, waiting_studies
from db.queries.failures import FailureGroup, failure_examples, failure_groups
from db.queries.filters import ImageFilter
from db.queries.ground_truth import Coverage, ResultWithTruth, coverage, known_keys, results_with_truth
from db.queries.image_ids import image_ids, image_ids_at
from db.queries.image_page import ImageFacts, image_facts
from db.queries.images import COLUMNS, images
from db.queries.issuers import images_by_key, known_issuers
from db.queries.night import (
    LabelCount,
    LabelSample,
    PeriodCounts,
    has_arrivals,
    has_further_results,
    most_suspicious,
    period_counts,
    sample_labels,
)
from db.queries.night_counts import NightCounts, night_counts
from db.queries.opt_outs import OptOut, opt_outs, opted_out_keys
from db.queries.outcomes import ImageOutcome, finished_among, outcomes_of
from db.queries.pages import InvalidCursorError, Page, page
from db.queries.pauses import LatestOutcomes, Outcomes, Pause, held_images, latest_outcomes, pauses, probe_outcomes
from db.queries.postponed import Postponed, postponed
from db.queries.promotions import Promotion, last_promotion
from db.queries.purgeable import (
    Outdated,
    PurgePreview,
    originals_in_use,
    outdated,
    purge_preview,
    purged_among,
    with_copies,
)
from db.queries.queue_counts import QueueCounts, queue_counts
from db.queries.receipts import Association, Sender, associations, senders
from db.queries.recent_work import RecentWork, delivery_counts, latest_times, recent_work
from db.queries.reportable import (
    Pending,
    ReportableResult,
    ReportedBundle,
    StudyResults,
    pending,
    studies_with_outcomes,
    study_results,
)
from db.queries.reportable_series import ReportedSeries, SpeakingImage
from db.queries.reported_files import OriginalFile, originals_of, study_originals
from db.queries.reruns import RerunCandidate, RerunCount, rerun_candidates, rerun_counts, unfinished_reruns
from db.queries.retriable import Retriable, retriable, retriable_series
from db.queries.retried import Retried, retried_later
from db.queries.routes import Route, routes_in_force
from db.queries.scope import ArrivalScope, newest_at
from db.queries.series import (
    FailedSeries,
    Series,
    SeriesCounts,
    SpeakingSlice,
    count_failed_series,
    failed_series,
    has_unformed_series,
    places_of,
    series_counts,
    series_list,
    studies_with_number,
    unformed_series,
)
from db.queries.series_order import (
    SlicePlace,
    StoredOrder,
    series_order,
    stack_places,
    waiting_slices,
    waiting_slices_of_study,
)
from db.queries.series_slices import AnalysedSlice, SeriesSlices, series_slices
from db.queries.series_tally import (
    SeriesLabel,
    SeriesOutcome,
    SeriesTally,
    UnformedSeries,
    series_tally,
    unformed_by_state,
)
from db.queries.sources import Source, missing_from_ledger, sources, uris_of
from db.queries.spooled import Spooled, all_spooled, spooled_at
from db.queries.studies import (
    Completeness,
    IncompleteStudy,
    Study,
    StudyCounts,
    incomplete_studies,
    latest_studies,
    studies,
    study_counts,
    withdrawn,
)
from db.queries.study_tags import image_tags, study_tags
from db.queries.tally import Tally, count_with_detail, reasons, remarks, replaced, tally, unfinished
from db.queries.throughput import BatchDuration, Pace, latest_batches, oldest_unfinished, oldest_waiting, pace, rate
from db.queries.trace import ImageTrace, trace
from db.queries.trace_events import Event, What
from db.queries.volume import bytes_arrived
from db.queries.waiting_reruns import WaitingRerun, waiting_reruns
from db.queries.workers import (
    Worker,
    batches_of,
    known_batches,
    open_batches,
    unanswered_since,
    unclaimed_batches,
    workers,
)

__all__ = [
    "COLUMNS",
    "RULES",
    "AnalysedSlice",
    "ApiKey",
    "ArchiveTotals",
    "ArrivalScope",
    "Association",
    "BatchDuration",
    "BatchRecord",
    "BundleLabels",
    "ComparedImage",
    "ComparedImages",
    "Completeness",
    "ConflictingImage",
    "Coverage",
    "Delivery",
    "DeliveryState",
    "EntryScope",
    "Event",
    "FailedSeries",
    "FailureGroup",
    "ImageFacts",
    "ImageFilter",
    "ImageOutcome",
    "ImageTrace",
    "IncompleteStudy",
    "InvalidCursorError",
    "LabelCount",
    "LabelSample",
    "LatestOutcomes",
    "NightCounts",
    "NodeTotals",
    "OneResult",
    "OptOut",
    "OriginalFile",
    "Outcomes",
    "Outdated",
    "Pace",
    "Page",
    "Pause",
    "Pending",
    "PeriodCounts",
    "Postponed",
    "Promotion",
    "PurgePreview",
    "QueueCounts",
    "RecentWork",
    "ReportableResult",
    "ReportedBundle",
    "ReportedSeries",
    "RerunCandidate",
    "RerunCount",
    "ResultWithTruth",
    "Retriable",
    "Retried",
    "Route",
    "Sender",
    "Series",
    "SeriesCounts",
    "SeriesLabel",
    "SeriesOutcome",
    "SeriesSlices",
    "SeriesTally",
    "SlicePlace",
    "Source",
    "SpeakingImage",
    "SpeakingSlice",
    "Spooled",
    "StoredOrder",
    "Study",
    "StudyCounts",
    "StudyResults",
    "Tally",
    "UnformedSeries",
    "Violation",
    "WaitingRerun",
    "What",
    "Worker",
    "WorkerTotals",
    "alarms",
    "all_spooled",
    "api_keys",
    "archive_states",
    "archive_totals",
    "associations",
    "batch_records",
    "batches_of",
    "bundle_by_id",
    "bundles",
    "bytes_arrived",
    "compared_images",
    "conflicting_images",
    "conflicts",
    "count_failed_series",
    "count_with_detail",
    "coverage",
    "deliveries",
    "delivery_counts",
    "failed_series",
    "failure_examples",
    "failure_groups",
    "finished_among",
    "has_arrivals",
    "has_further_results",
    "has_unformed_series",
    "held_images",
    "image_facts",
    "image_ids",
    "image_ids_at",
    "image_tags",
    "images",
    "images_by_key",
    "incomplete_studies",
    "known_batches",
    "known_issuers",
    "known_keys",
    "last_promotion",
    "latest_batches",
    "latest_outcomes",
    "latest_studies",
    "latest_times",
    "missing_from_ledger",
    "most_suspicious",
    "newest_at",
    "night_counts",
    "node_totals",
    "oldest_unfinished",
    "oldest_waiting",
    "open_batches",
    "opt_outs",
    "opted_out_keys",
    "originals_in_use",
    "originals_of",
    "outcomes_of",
    "outdated",
    "pace",
    "page",
    "pauses",
    "pending",
    "period_counts",
    "places_of",
    "postponed",
    "probe_outcomes",
    "purge_preview",
    "purged_among",
    "queue_counts",
    "rate",
    "reasons",
    "recent_work",
    "remarks",
    "replaced",
    "rerun_candidates",
    "rerun_counts",
    "results_of_bundles",
    "results_with_truth",
    "retriable",
    "retriable_series",
    "retried_later",
    "routes_in_force",
    "sample_labels",
    "searched_since",
    "senders",
    "series_counts",
    "series_list",
    "series_order",
    "series_slices",
    "series_tally",
    "sources",
    "spooled_at",
    "stack_places",
    "studies",
    "studies_with_number",
    "studies_with_outcomes",
    "study_counts",
    "study_originals",
    "study_results",
    "study_tags",
    "tally",
    "trace",
    "unanswered_since",
    "unclaimed_batches",
    "unfinished",
    "unfinished_reruns",
    "unformed_by_state",
    "unformed_series",
    "unsent_notices",
    "uris_of",
    "violations",
    "waiting_reruns",
    "waiting_slices",
    "waiting_slices_of_study",
    "waiting_studies",
    "with_copies",
    "withdrawn",
    "workers",
]
