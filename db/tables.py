"""Define the tables of images, work, workers and audit; db.store_tables and db.series_tables define all others."""

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

from db.types import Content, Id, Json, UtcDateTime
from imaging.facts import BAND_LENGTH, CODE_LENGTH, KEY_LENGTH, STATION_LENGTH, TEXT_LENGTH, UID_LENGTH
from nightread.paths import NAME_LENGTH


class State(StrEnum):
    """The state of one row of work: `received -> queued -> running -> final`; the only way back is to `received`."""

    RECEIVED = "received"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPANDED = "expanded"


UNFINISHED = (State.RECEIVED, State.QUEUED, State.RUNNING)
FINAL = (State.DONE, State.DUPLICATE, State.REJECTED, State.FAILED, State.EXPANDED)

MODEL_LENGTH = 151  # name, @ and version of a bundle

# Four of the foreign keys exist on SQLite only (docs/decisions/0030-postgresql-in-bulk.md).
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def when(condition: str) -> dict[str, Any]:
    """Return the arguments that limit an index to the rows with this condition (a partial index)."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


sources = Table(
    "sources",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("root", Text, nullable=False),  # path on the producer's host; the setting `roots` may map it to another
    Column("created_at", UtcDateTime, nullable=False),
    Column("report", Json),  # counts of the latest scan of the folder (producer.folders.report)
    Column("reported_at", UtcDateTime),
    Column("marked", Boolean, nullable=False, server_default=false()),  # true: its folder has had the file ROOT_MARKER
    Column("cursor", Json),  # how far a store was read (producer.stores.orthanc, producer.stores.dicomweb)
    Column("trust", String(NAME_LENGTH)),  # group of sources that may replace and withdraw each other's results
)

bundles = Table(
    "bundles",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("version", String(50), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("labels", Json, nullable=False),
    Column("normal_label", String(100)),
    Column("registered_at", UtcDateTime, nullable=False),
    Column("codes", Json),  # codes of standard terminologies by label (nightread.label_codes); null: none
    Column("of_series", Boolean, nullable=False, server_default=false()),  # true: unit `series` (db.series_tables)
)

instances = Table(
    "instances",
    metadata,
    Column("id", Id, primary_key=True),
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("uri", Text, nullable=False),  # path below the root, percent-encoded from its bytes; or a URL
    Column("uri_key", String(32), nullable=False),  # BLAKE2b-128 of uri: PostgreSQL cannot index long paths
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("arrived_at", UtcDateTime, nullable=False),
    Column("parent_id", Id, ForeignKey("instances.id")),
    Column("content", Content),  # identity of the bytes (nightread.content_digest)
    Column("sop_instance_uid", String(UID_LENGTH)),
    Column("series_instance_uid", String(UID_LENGTH)),
    Column("study_instance_uid", String(UID_LENGTH)),
    Column("sop_class_uid", String(UID_LENGTH)),
    Column("transfer_syntax", String(UID_LENGTH)),
    Column("modality", String(CODE_LENGTH)),
    Column("body_part", String(CODE_LENGTH)),
    Column("image_type", String(TEXT_LENGTH)),
    Column("study_date", String(8)),
    Column("view_position", String(CODE_LENGTH)),
    Column("laterality", String(1)),
    Column("manufacturer", String(TEXT_LENGTH)),
    Column("station_name", String(STATION_LENGTH)),
    Column("patient_sex", String(1)),
    Column("age_band", String(BAND_LENGTH)),
    Column("rows", Integer),
    Column("columns", Integer),
    Column("frames", Integer),
    Column("patient_key", String(KEY_LENGTH)),
    Column("accession_key", String(KEY_LENGTH)),
    Column("key_id", String(8)),
    Column("decoder", String(TEXT_LENGTH)),
    Column("geometry", Text),  # position of its slices (imaging.series), as JSON; null unless a bundle needs series
    Column("superseded_by", Id, ForeignKey("instances.id")),
    Column("replaced_by", Id),  # the arrival whose file replaced this file at the same place
    Column("member_name", Text),  # name inside its archive, as readable text
    Column("withdrawn_by", Id),  # the instance id of the key object note that rejects it
    Column("withdrawn_code", String(CODE_LENGTH)),  # title of the note: 113001, 113037 or 113038 (DICOM CID 7010)
    Column("sender_id", Id),  # senders.id; null unless it came to a receiver or the API
    # Id of another current version or of a key object note; its source may neither replace nor withdraw this image.
    Column("conflict_with", Id),
    Column("purged_at", UtcDateTime),  # after this time `uri` is empty, and no column identifies the image
    Column("device_model", String(TEXT_LENGTH)),
    Column("photometric", String(CODE_LENGTH)),
    Column("pixel_spacing", Float),  # millimetres between rows
    Column("unowned", Boolean),  # true: `contents` may not name this image; then searches read `content`
    UniqueConstraint("source_id", "uri_key", "size", "mtime_ns"),
    Index(
        "ix_instances_sop_instance_uid",
        "sop_instance_uid",
        "superseded_by",
        **when("sop_instance_uid IS NOT NULL"),
    ),
    Index("ix_instances_study_instance_uid", "study_instance_uid", **when("study_instance_uid IS NOT NULL")),
    Index("ix_instances_patient_key", "patient_key", **when("patient_key IS NOT NULL")),
    Index("ix_instances_accession_key", "accession_key", **when("accession_key IS NOT NULL")),
    Index("ix_instances_modality", "modality", "id", **when("modality IS NOT NULL")),
    Index("ix_instances_unowned", "content", **when("unowned IS NOT NULL")),
    Index("ix_instances_superseded_by", "superseded_by", **when("superseded_by IS NOT NULL")),
    # With the ids, so that PostgreSQL finds the ids of a night without its rows; on SQLite each index contains them.
    Index("ix_instances_arrived_at", "arrived_at", postgresql_include=["id"]),
    Index("ix_instances_parent_id", "parent_id", **when("parent_id IS NOT NULL")),
    Index("ix_instances_replaced_by", "replaced_by", **when("replaced_by IS NOT NULL")),
    Index("ix_instances_withdrawn_by", "withdrawn_by", **when("withdrawn_by IS NOT NULL")),
    Index("ix_instances_conflict_with", "conflict_with", **when("conflict_with IS NOT NULL")),
)

batches = Table(
    "batches",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("images", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("claimed_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("node", String(200)),
    Column("boot_id", String(36)),
    Column("process_index", Integer),
    Column("release", String(50)),  # release of nightread on the worker
    Column("runtime", String(200)),  # what ran the networks, with its version
    Column("seconds", Json),  # seconds by phase of worker.analyse
    Column("outcomes", Json),  # number of images by state
    Index("ix_batches_open", "created_at", **when("finished_at IS NULL")),
    Index("ix_batches_created_at", "created_at"),
)

work = Table(
    "work",
    metadata,
    Column("id", Id, primary_key=True),
    Column("instance_id", Id, ForeignKey("instances.id"), nullable=False),
    Column("ordinal", Integer, nullable=False),  # 0: the first row, which the tally counts; from 1: further results
    # bundle_id and duplicate_of have no foreign key: see docs/decisions/0012-cost-of-recording-an-outcome.md.
    Column("bundle_id", Id),  # bundles.id
    Column("state", String(10), nullable=False),
    Column("batch_id", String(36)),
    Column("attempts", Integer, nullable=False),
    # How often the worker process died while this image was in flight, or while this image was alone in its batch and
    # the parent process lived.
    Column("deaths", Integer, nullable=False),
    Column("expiries", Integer, nullable=False),  # how many of its leases expired
    Column("lease_until", UtcDateTime),
    Column("not_before", UtcDateTime),
    Column("priority", Integer, nullable=False),
    Column("alone", Boolean, nullable=False),
    Column("reason", String(32)),
    Column("detail", String(500)),
    Column("duplicate_of", Id),  # instances.id
    Column("label", String(100)),
    Column("score", Float),
    Column("suspicion", Float),  # computed from the scores (db.ledger.bundles); null without a normal label
    Column("scores", Json),  # scores of the whole image, in the order of the bundle's labels
    Column("finished_at", UtcDateTime),
    Column("route_id", Id),  # rule that chose the bundle; null: --model chose the bundle
    Column("matched", Json),  # header values that the rule matched, by field
    Column("shadow", Boolean, nullable=False, server_default=false()),  # true: shown only on request
    Column("tried_since", UtcDateTime),  # time of the first claim; reset if the file changes and by retry
    Column("remarks", String(200)),  # words of imaging.remarks, separated by spaces; `detail` holds their sentences
    Column("intensities", BigInteger),  # five percentiles of the prepared input (nightread.drift.levels)
    UniqueConstraint("instance_id", "ordinal"),
    CheckConstraint("state IN (" + ", ".join(f"'{state}'" for state in State) + ")", name="state"),
    Index("ix_work_received", "priority", "id", **when("state = 'received'")),
    Index("ix_work_batch", "batch_id", **when("state IN ('queued', 'running')")),
    # Final rows only: unfinished rows change state three times, and SQLite would prefer this index to the two above.
    Index("ix_work_outcome", "state", "instance_id", **when("finished_at IS NOT NULL")),
    Index("ix_work_reason", "reason", "instance_id", **when("reason IS NOT NULL")),
    Index("ix_work_remarks", "remarks", "instance_id", **when("remarks IS NOT NULL")),
    Index("ix_work_label", "label", "instance_id", **when("label IS NOT NULL")),
    # These two also contain image and label, so that filters on label, time and page need no row that does not match.
    Index("ix_work_score", "score", "instance_id", "label", **when("score IS NOT NULL")),
    Index("ix_work_suspicion", "suspicion", "instance_id", "label", **when("suspicion IS NOT NULL")),
    Index("ix_work_further", "bundle_id", "instance_id", **when("ordinal > 0")),
    Index("ix_work_not_before", "not_before", **when("not_before IS NOT NULL")),
    Index("ix_work_finished_at", "finished_at", "instance_id", **when("finished_at IS NOT NULL")),
)

contents = Table(
    "contents",
    metadata,
    Column("content", Content, primary_key=True),
    Column("work_id", Id, ForeignKey("work.id"), nullable=False),
    sqlite_with_rowid=False,
)

predictions = Table(
    "predictions",
    metadata,
    Column("work_id", Id, ForeignKey("work.id"), primary_key=True),
    Column("frame", Integer, primary_key=True, autoincrement=False),
    Column("label", String(100)),
    Column("score", Float, nullable=False),
    Column("scores", Json, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("node", String(200), primary_key=True),
    Column("boot_id", String(36), nullable=False),
    Column("slots", Integer, nullable=False),
    Column("starting", Integer, nullable=False, server_default="0"),  # number of slots that still load models
    Column("model", String(MODEL_LENGTH)),  # NAME@VERSION that analyses every image; null: the routing rules decide
    Column("device", String(100), nullable=False),
    Column("release", String(50), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),  # by the clock of its host
    Column("ahead_seconds", Float, nullable=False, server_default="0"),  # lead of that clock over the database's clock
    Column("crashed_at", UtcDateTime),  # last heartbeat before the crash that preceded the present start
    Column("first_started_at", UtcDateTime),  # first start with this name; null: it was before schema 0022
    Column("draining_at", UtcDateTime),  # from this time on it takes no more batches
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("action", String(50), nullable=False),
    Column("detail", Json, nullable=False),
    Index("ix_audit_at", "at"),
)


def in_state(*states: State) -> ColumnElement[bool]:
    """Return the condition that work is in one of these states.

    The states are written as constants, because neither database uses a partial index for a bound parameter.
    """
    constants: list[ColumnElement[Any]] = [literal_column(f"'{state.value}'") for state in states]
    return work.c.state == constants[0] if len(constants) == 1 else work.c.state.in_(constants)


# The condition of ix_work_batch, word for word: SQLite does not derive it from `state = 'running'`.
IN_BATCH = in_state(State.QUEUED, State.RUNNING)
