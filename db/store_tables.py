"""Define the tables of receivers, stores, reports, rules, patients, keys, nights and pauses (metadata: db.tables)."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, UniqueConstraint

from db.tables import metadata, when
from db.types import Id, Json, UtcDateTime
from imaging.facts import CODE_LENGTH, ISSUER_LENGTH, KEY_LENGTH, TEXT_LENGTH, UID_LENGTH
from nightread.paths import NAME_LENGTH

KEY_NAME_LENGTH = 64
NODE_LENGTH = 200

receipts = Table(
    "receipts",  # one row per association of a C-STORE receiver
    metadata,
    Column("id", Id, primary_key=True),
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("association", String(36), nullable=False, unique=True),
    Column("calling_ae", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),  # null: the association is open, or the receiver died
    Column("received", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("statuses", Json, nullable=False),  # number of responses by DIMSE status; successes are left out
    Index("ix_receipts_began_at", "began_at"),
)

senders = Table(
    "senders",  # who sent images to a receiver or to the HTTP API
    metadata,
    Column("id", Id, primary_key=True),
    Column("source_id", Id, ForeignKey("sources.id"), nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("trust", String(NAME_LENGTH)),  # group of its entry in `callers`; null: group of the source; empty: none
    UniqueConstraint("source_id", "calling_ae", "address"),
)

copies = Table(
    "copies",  # other sources and senders that sent the bytes of an image or archive (the original) again
    metadata,
    # Without foreign keys, as in docs/decisions/0012-cost-of-recording-an-outcome.md.
    Column("original_id", Id, primary_key=True, autoincrement=False),  # instances.id
    Column("source_id", Id, primary_key=True, autoincrement=False),  # sources.id; of the outermost archive for members
    Column("sender_id", Id, primary_key=True, autoincrement=False),  # senders.id; 0: none
    Column("first_id", Id, nullable=False),  # instances.id of the first duplicate from this source and sender
    sqlite_with_rowid=False,
)

expected = Table(
    "expected",  # how many images a study has, according to a store, a manifest or a header
    metadata,
    Column("study_instance_uid", String(UID_LENGTH), primary_key=True),
    Column("source_id", Id, ForeignKey("sources.id"), primary_key=True),
    Column("reported_by", String(16), primary_key=True),  # store, manifest or header
    Column("images", Integer, nullable=False),
    Column("reported_at", UtcDateTime, nullable=False),  # when the number last changed
    Index("ix_expected_reported_at", "reported_at"),
)

withdrawals = Table(
    "withdrawals",  # images that key object notes reject; the images may arrive before or after the note
    metadata,
    Column("study_instance_uid", String(UID_LENGTH), primary_key=True),
    Column("sop_instance_uid", String(UID_LENGTH), primary_key=True),
    Column("note_id", Id, ForeignKey("instances.id"), primary_key=True),
    Column("code", String(CODE_LENGTH), nullable=False),
)

deliveries = Table(
    "deliveries",  # one row per report of a study for a destination; a revision is a new row
    metadata,
    Column("id", Id, primary_key=True),
    Column("study_instance_uid", String(UID_LENGTH), nullable=False),
    Column("destination", String(200), nullable=False),
    Column("sop_instance_uid", String(UID_LENGTH), nullable=False, unique=True),
    Column("replaces", String(UID_LENGTH)),  # SOP Instance UID of the previous revision
    Column("content", String(64), nullable=False),  # digest of the content; the same content is not sent again
    Column("state", String(10), nullable=False),  # waiting, delivered or failed
    Column("reason", String(32)),
    Column("detail", String(500)),
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Index("ix_deliveries_study", "study_instance_uid", "destination"),
    Index("ix_deliveries_waiting", "not_before", **when("state = 'waiting'")),
)

truths = Table(
    "truths",  # ground truth: labels that became known after the analysis
    metadata,
    Column("subject", String(9), primary_key=True),  # the kind of key: sop, study or accession
    Column("key", String(KEY_LENGTH), primary_key=True),  # a UID, or the hash of an accession number
    Column("label", String(100), primary_key=True),
    Column("present", Boolean, nullable=False),
    Column("imported_at", UtcDateTime, nullable=False),
)

issuers = Table(
    "issuers",  # issuers of patient and accession numbers in headers; a number is hashed together with its issuer
    metadata,
    Column("kind", String(9), primary_key=True),  # patient or accession
    Column("name", String(ISSUER_LENGTH), primary_key=True),
    Column("first_seen_at", UtcDateTime, nullable=False),
)

api_keys = Table(
    "api_keys",  # keys of the HTTP API; rows stay, because results and the audit table name their keys
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(KEY_NAME_LENGTH), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),  # SHA-256 of the token, which has 256 random bits
    Column("scopes", String(100), nullable=False),  # words of api.access.Permission, separated by spaces
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("expires_at", UtcDateTime),  # null: the key never expires
    Column("revoked_at", UtcDateTime),  # null while the key is not revoked
    Column("last_used_at", UtcDateTime),  # written at most once a minute
    Index("ix_api_keys_name", "name", unique=True, **when("revoked_at IS NULL")),
)

opt_outs = Table(
    "opt_outs",  # patients whose images are not analysed
    metadata,
    Column("patient_key", String(KEY_LENGTH), primary_key=True),  # as in `instances`, or equal to number_key
    # Key of the number without an issuer, equal in all rows of the number; null: the opt-out is for one issuer only.
    Column("number_key", String(KEY_LENGTH)),
    Column("key_id", String(8), nullable=False),  # id of the site key; with another site key the hash matches no image
    Column("added_at", UtcDateTime, nullable=False),
    Column("actor", String(100), nullable=False),
)

routes = Table(
    "routes",  # routing rules
    metadata,
    Column("id", Id, primary_key=True),
    Column("position", Integer, nullable=False),  # rules apply in this order; equal positions by id
    Column("bundle_id", Id, ForeignKey("bundles.id"), nullable=False),
    Column("role", String(8), nullable=False),  # answer, further or shadow (models.routing.Role)
    Column("conditions", Json, nullable=False),  # texts that models.routing.Condition parses
    Column("began_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),  # null while the rule is active; rows stay, because results name their rule
    Index("ix_routes_in_force", "position", **when("ended_at IS NULL")),
)

nights = Table(
    "nights",  # nights of the site for the views, because SQLite has no time zones (cli.night_calendar)
    metadata,
    Column("evening", String(10), primary_key=True),  # local date on which it begins, as in `query --night`
    Column("began_at", UtcDateTime, nullable=False, unique=True),
    Column("ended_at", UtcDateTime, nullable=False),
)

BLOCK = 256
"""Number of arrivals in one block; their ids are consecutive."""
occurrences = Table(
    "occurrences",  # one row per value and block of arrivals in which the value occurs (db.ledger.occurrences)
    metadata,
    Column("kind", String(12), primary_key=True),  # model, manufacturer, station or view
    Column("value", String(TEXT_LENGTH), primary_key=True),  # bundles.id or the value of the header
    Column("block", Id, primary_key=True, autoincrement=False),  # id of the arrival divided by BLOCK
    sqlite_with_rowid=False,
)

heartbeats = Table(
    "heartbeats",  # one row per part of nightread that runs or ran, except workers (table `workers`)
    metadata,
    Column("part", String(16), primary_key=True),  # db.ledger.heartbeats.PartKind
    Column("node", String(NODE_LENGTH), primary_key=True),  # its host, and a digest of what it serves
    Column("boot_id", String(64), nullable=False),  # new at each start
    Column("detail", Json, nullable=False),  # names of its sources or destinations, its port, or the parts it started
    Column("started_at", UtcDateTime, nullable=False),
    Column("heartbeat_at", UtcDateTime, nullable=False),  # by the clock of its host
    Column("ahead_seconds", Float, nullable=False),  # lead of that clock over the clock of the database
    Column("worked_at", UtcDateTime),  # when its main loop last began a round; null: not measured
    Column("stopped_at", UtcDateTime),  # when it was stopped on purpose; null: it runs or died
    Column("crashed_at", UtcDateTime),  # last heartbeat before the crash that preceded the present start
    Column("first_started_at", UtcDateTime),  # first start on this host; null: it was before schema 0022
)

pauses = Table(
    "pauses",  # times in which no batches are formed, or none of one source
    metadata,
    Column("id", Id, primary_key=True),
    Column("cause", String(16), nullable=False),  # breaker, disk, hours or person (db.ledger.pauses.Cause)
    Column("source_id", ForeignKey("sources.id")),  # null: all sources wait; else only this one
    Column("detail", String(500), nullable=False),
    Column("actor", String(100), nullable=False),
    Column("began_at", UtcDateTime, nullable=False),
    Column("probe_batch", String(36)),  # batch that is sent during the pause, to test whether to end the pause
    Column("probed_at", UtcDateTime),
    Column("ended_at", UtcDateTime),  # null while the pause is active
    Column("ended_by", String(100)),
    Index("ix_pauses_in_force", "cause", unique=True, **when("ended_at IS NULL AND source_id IS NULL")),
    Index("ix_pauses_source", "cause", "source_id", unique=True, **when("ended_at IS NULL AND source_id IS NOT NULL")),
)
