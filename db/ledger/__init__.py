"""The only writer of work: register, dispatch, claim, record, sweep. The rules are in docs/ledger.md."""

from db.ledger.arrivals import register
from db.ledger.bundles import register_bundle
from db.ledger.claims import (
    claim,
    end_leases_of_earlier_starts,
    give_back_batch,
    give_back_predecessor,
    owner_of,
    renew,
)
from db.ledger.cursors import Cursor, cursor_of, register_and_move
from db.ledger.deliveries import draft_delivery, end_delivery, put_off_delivery, take_delivery
from db.ledger.expected import expect
from db.ledger.fleet import beat, sign_off
from db.ledger.identity import known_contents
from db.ledger.outbox import Batch, BatchFilter, Outlook, form_batches, look, return_unpublished
from db.ledger.outcomes import record
from db.ledger.pauses import Cause, end_pauses, forget_probe, note_probe, pause
from db.ledger.receipts import Receipt, end_receipts, receive
from db.ledger.retries import retry
from db.ledger.routes import NewRoute, add_route, end_routes, replace_bundle
from db.ledger.set_back import bring_back
from db.ledger.sources import ensure_source, is_marked, mark_source, report_source
from db.ledger.sweep import open_batches, reset_unfinished, return_batches, return_expired, return_overtaken
from db.ledger.truths import Subject, Truth, keep_truths
from db.ledger.values import (
    Arrival,
    Claimed,
    Expected,
    FramePrediction,
    FurtherPrediction,
    Hints,
    Members,
    Outcome,
    Registered,
    Withdrawal,
    WorkerProcess,
)

__all__ = [
    "Arrival",
    "Batch",
    "BatchFilter",
    "Cause",
    "Claimed",
    "Cursor",
    "Expected",
    "FramePrediction",
    "FurtherPrediction",
    "Hints",
    "Members",
    "NewRoute",
    "Outcome",
    "Outlook",
    "Receipt",
    "Registered",
    "Subject",
    "Truth",
    "Withdrawal",
    "WorkerProcess",
    "add_route",
    "beat",
    "bring_back",
    "claim",
    "cursor_of",
    "draft_delivery",
    "end_delivery",
    "end_leases_of_earlier_starts",
    "end_pauses",
    "end_receipts",
    "end_routes",
    "ensure_source",
    "expect",
    "forget_probe",
    "form_batches",
    "give_back_batch",
    "give_back_predecessor",
    "is_marked",
    "keep_truths",
    "known_contents",
    "look",
    "mark_source",
    "note_probe",
    "open_batches",
    "owner_of",
    "pause",
    "put_off_delivery",
    "receive",
    "record",
    "register",
    "register_and_move",
    "register_bundle",
    "renew",
    "replace_bundle",
    "report_source",
    "reset_unfinished",
    "retry",
    "return_batches",
    "return_expired",
    "return_overtaken",
    "return_unpublished",
    "sign_off",
    "take_delivery",
]
