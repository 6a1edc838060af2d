from db.ledger.api_keys import add_api_key, note_api_key_uses, revoke_api_key
from db.ledger.arrivals import register
from db.ledger.audit_entries import write_entry
from db.ledger.bundles import register_bundle
from db.ledger.cancellations import cancel
from db.ledger.claims import (
    claim,
    expire_leases_of_previous_starts,
    owner_of,
    renew,
    requeue_batch,
    requeue_predecessor,
)
from db.ledger.clock_repair import clamp_future_times
from db.ledger.cursors import Cursor, cursor_of, register_and_move
from db.ledger.deliveries import claim_delivery, draft_delivery, end_delivery, hold_deliveries, postpone_delivery
from db.ledger.expected import expect
from db.ledger.former_identity import former_contents, former_uids, has_former_contents
from db.ledger.ground_truth import GroundTruth, Subject, save_ground_truth
from db.ledger.heartbeats import (
    Heartbeat,
    PartKind,
    forget_all_parts,
    forget_part,
    forget_parts,
    record_heartbeats,
    record_stop,
)
from db.ledger.identity import known_contents
from db.ledger.issuers import remember_issuers
from db.ledger.nights import Night, first_arrival, set_nights
from db.ledger.opt_outs import add_opt_out, opted_out, remove_opt_outs
from db.ledger.outbox import (
    ALL_SOURCES,
    RERUN,
    URGENT,
    Batch,
    BatchFilter,
    QueueStatus,
    SourceFilter,
    form_batches,
    queue_status,
    return_unpublished,
)
from db.ledger.outcomes import record
from db.ledger.pauses import Cause, clear_probe, end_pause, end_pauses, pause, set_probe
from db.ledger.purge import Purged, purge, purge_by_age, purge_study_rows
from db.ledger.reads import forget_purged_studies, note_read
from db.ledger.receipts import Receipt, end_receipts, receive
from db.ledger.reruns import RerunPlan, plan_rerun, preview_rerun, record_rerun
from db.ledger.retries import retry
from db.ledger.routes import NewRoute, add_route, end_routes, replace_bundle
from db.ledger.senders import update_trust
from db.ledger.series import (
    claim_series,
    collecting_series,
    mark_all_due,
    mark_due,
    waiting_series,
)
from db.ledger.series_failures import SERIES_ATTEMPTS, fail_series, retry_series, return_expired_series
from db.ledger.series_results import record_series
from db.ledger.series_values import (
    PARTIAL_CAUSES,
    ClaimedSeries,
    CollectingSeries,
    DueCause,
    FormedSeries,
    SeriesResult,
    SeriesState,
    StackPlace,
)
from db.ledger.sources import ensure_source, is_marked, mark_source, report_source
from db.ledger.submissions import submit
from db.ledger.sweep import open_batches, reset_unfinished, return_batches, return_expired, return_overtaken
from db.ledger.values import (
    Annotations,
    Arrival,
    CallingEntity,
    Claimed,
    Expected,
    FramePrediction,
    FurtherPrediction,
    Members,
    Outcome,
    Registered,
    Withdrawal,
    WorkerProcess,
    unknown_sender,
)
from db.ledger.workers import deregister, drain, end_drain, heartbeat, is_draining, note_shutdown

__all__ = [
    "ALL_SOURCES",
    "PARTIAL_CAUSES",
    "RERUN",
    "SERIES_ATTEMPTS",
    "URGENT",
    "Annotations",
    "Arrival",
    "Batch",
    "BatchFilter",
    "CallingEntity",
    "Cause",
    "Claimed",
    "ClaimedSeries",
    "CollectingSeries",
    "Cursor",
    "DueCause",
    "Expected",
    "FormedSeries",
    "FramePrediction",
    "FurtherPrediction",
    "GroundTruth",
    "Heartbeat",
    "Members",
    "NewRoute",
    "Night",
    "Outcome",
    "PartKind",
    "Purged",
    "QueueStatus",
    "Receipt",
    "Registered",
    "RerunPlan",
    "SeriesResult",
    "SeriesState",
    "SourceFilter",
    "StackPlace",
    "Subject",
    "Withdrawal",
    "WorkerProcess",
    "add_api_key",
    "add_opt_out",
    "add_route",
    "cancel",
    "claim",
    "claim_delivery",
    "claim_series",
    "clamp_future_times",
    "clear_probe",
    "collecting_series",
    "cursor_of",
    "deregister",
    "draft_delivery",
    "drain",
    "end_delivery",
    "end_drain",
    "end_pause",
    "end_pauses",
    "end_receipts",
    "end_routes",
    "ensure_source",
    "expect",
    "expire_leases_of_previous_starts",
    "fail_series",
    "first_arrival",
    "forget_all_parts",
    "forget_part",
    "forget_parts",
    "forget_purged_studies",
    "form_batches",
    "former_contents",
    "former_uids",
    "has_former_contents",
    "heartbeat",
    "hold_deliveries",
    "is_draining",
    "is_marked",
    "known_contents",
    "mark_all_due",
    "mark_due",
    "mark_source",
    "note_api_key_uses",
    "note_read",
    "note_shutdown",
    "open_batches",
    "opted_out",
    "owner_of",
    "pause",
    "plan_rerun",
    "postpone_delivery",
    "preview_rerun",
    "purge",
    "purge_by_age",
    "purge_study_rows",
    "queue_status",
    "receive",
    "record",
    "record_heartbeats",
    "record_rerun",
    "record_series",
    "record_stop",
    "register",
    "register_and_move",
    "register_bundle",
    "remember_issuers",
    "remove_opt_outs",
    "renew",
    "replace_bundle",
    "report_source",
    "requeue_batch",
    "requeue_predecessor",
    "reset_unfinished",
    "retry",
    "retry_series",
    "return_batches",
    "return_expired",
    "return_expired_series",
    "return_overtaken",
    "return_unpublished",
    "revoke_api_key",
    "save_ground_truth",
    "set_nights",
    "set_probe",
    "submit",
    "unknown_sender",
    "update_trust",
    "waiting_series",
    "write_entry",
]
