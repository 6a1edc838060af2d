"""Define the tables of series and of their results (docs/decisions/0036-series-as-a-unit.md)."""

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    case,
    false,
    func,
    literal_column,
    select,
)

from db.tables import metadata, when
from db.types import Id, Json, UtcDateTime
from imaging.facts import TEXT_LENGTH, UID_LENGTH

series = Table(
    "series",  # one row per study and Series Instance UID with a slice for a bundle of unit `series`
    metadata,
    Column("id", Id, primary_key=True),
    Column("series_instance_uid", String(UID_LENGTH), nullable=False),
    Column("study_instance_uid", String(UID_LENGTH), nullable=False),
    Column("state", String(10), nullable=False),  # db.ledger.series_values.SeriesState
    Column("began_at", UtcDateTime, nullable=False),  # when it last began to collect slices
    Column("changed_at", UtcDateTime, nullable=False),  # time of the latest outcome of a slice or failed attempt
    Column("cause", String(10)),  # why it is due: db.ledger.series_values.DueCause
    Column("claim", String(36)),  # id of the claim; null unless the state is forming
    Column("lease_until", UtcDateTime),  # null unless the state is forming
    Column("attempts", Integer, nullable=False),  # number of claims since the latest slice
    Column("formed_at", UtcDateTime),
    Column("reason", String(32)),  # why it failed
    Column("stored_order", Json),  # stacks of slices for networks that need neighbours (db.queries.series_order)
    Column("detail", String(500)),  # a sentence about the reason
    UniqueConstraint("study_instance_uid", "series_instance_uid"),
    Index("ix_series_series_instance_uid", "series_instance_uid"),
    Index("ix_series_unformed", "state", "id", **when("state IN ('collecting', 'due', 'forming')")),
    Index("ix_series_changed_at", "changed_at"),
    Index("ix_series_reason", "reason", **when("reason IS NOT NULL")),
)

series_results = Table(
    "series_results",  # one per series, bundle and stack
    metadata,
    Column("id", Id, primary_key=True),
    Column("series_id", Id, ForeignKey("series.id"), nullable=False),
    Column("bundle_id", Id, ForeignKey("bundles.id"), nullable=False),
    Column("stack", Integer, nullable=False),  # from 1 for the largest stack; 0: the series as a whole has no result
    Column("stack_name", String(TEXT_LENGTH)),  # distinguishes it from other stacks, such as `echo_number 2`
    Column("state", String(10), nullable=False),  # done, rejected or failed
    Column("reason", String(32)),
    Column("detail", String(500)),
    Column("label", String(100)),
    Column("score", Float),
    Column("suspicion", Float),
    Column("scores", Json),  # in the order of the bundle's labels
    Column("slices", Integer, nullable=False),  # slices with a score
    Column("of_slices", Integer, nullable=False),  # slices that arrived, without localizers and duplicates
    Column("partial", Boolean, nullable=False),  # true: slices are unfinished, or images of the study are missing
    Column("remarks", String(200)),  # words of models.series.remarks; `detail` holds their sentences
    Column("places", Json, nullable=False),  # [image id, frame, score] for each place of the stack, in order
    Column("evidence", Json, nullable=False),  # numbers (from 1) of the places that support the label
    Column("shadow", Boolean, nullable=False, server_default=false()),
    Column("revision", Integer, nullable=False),  # 1 for the first result
    Column("content", String(64), nullable=False),  # digest; an equal digest makes no revision
    Column("formed_at", UtcDateTime, nullable=False),
    UniqueConstraint("series_id", "bundle_id", "stack"),
    Index("ix_series_results_label", "label", "score", **when("label IS NOT NULL")),
)


def is_unformed(*states: str) -> ColumnElement[bool]:
    """Return the condition that a series is in one of these unformed states; without `states`, in any unformed state.

    The states are constants, as in db.tables.in_state. SQLite uses the index only if its condition is repeated exactly.
    """
    unformed = series.c.state.in_([literal_column(f"'{state}'") for state in ("collecting", "due", "forming")])
    return unformed if not states else unformed & series.c.state.in_([literal_column(f"'{state}'") for state in states])


_IS_FAILED_RESULT = (series_results.c.state == "failed") & (series_results.c.stack == 0)  # the index has the stack
_FAILED_RESULT = (
    select(func.min(series_results.c.reason))
    .where(series_results.c.series_id == series.c.id, _IS_FAILED_RESULT)
    .scalar_subquery()
)
FAILURE: ColumnElement[str | None] = case(
    (series.c.state == "failed", series.c.reason), (series.c.state == "formed", _FAILED_RESULT)
)
"""Why a series has failed: it could not be formed, or the result of a bundle failed; null if it has not."""
