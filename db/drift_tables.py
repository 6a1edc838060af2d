"""Define the tables of drift: counts of nights, references and comparisons. The tables identify no patient."""

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table

from db.tables import metadata, when
from db.types import Id, Json, UtcDateTime
from imaging.facts import CODE_LENGTH, TEXT_LENGTH

SOURCE_LENGTH = 200

drift_nights = Table(
    "drift_nights",  # histograms of one night, bundle and stratum (modality to source); an unknown field is empty
    metadata,
    Column("evening", String(10), primary_key=True),  # local date on which the night begins
    Column("bundle_id", Id, ForeignKey("bundles.id"), primary_key=True),
    Column("modality", String(CODE_LENGTH), primary_key=True),
    Column("device_model", String(TEXT_LENGTH), primary_key=True),
    Column("view", String(CODE_LENGTH), primary_key=True),
    Column("source", String(SOURCE_LENGTH), primary_key=True),
    Column("images", Integer, nullable=False),
    Column("counts", Json, nullable=False),  # number of images by measure and bin (nightread.drift.measures)
)

drift_references = Table(
    "drift_references",  # what nights are compared with; rows stay, because the audit table and results name them
    metadata,
    Column("id", Id, primary_key=True),
    Column("bundle_id", Id, ForeignKey("bundles.id"), nullable=False),
    Column("kind", String(10), nullable=False),  # db.drift.references.ReferenceKind
    Column("first_evening", String(10)),  # null: the reference was not made from nights
    Column("last_evening", String(10)),
    Column("images", Integer, nullable=False),
    Column("content", Json, nullable=False),  # nightread.drift.reference
    Column("made_at", UtcDateTime, nullable=False),
    Column("made_by", String(100), nullable=False),
    Column("ended_at", UtcDateTime),  # null while the reference is in force
    Index("ix_drift_references_in_force", "bundle_id", unique=True, **when("ended_at IS NULL")),
)

drift_results = Table(
    "drift_results",  # one row per counted night and bundle: its comparison with the reference in force
    metadata,
    Column("evening", String(10), primary_key=True),
    Column("bundle_id", Id, ForeignKey("bundles.id"), primary_key=True),
    Column("reference_id", Id, ForeignKey("drift_references.id")),  # null: there was no reference
    Column("images", Integer, nullable=False),  # number of results when the night was counted
    Column("comparisons", Json, nullable=False),  # nightread.drift.judgement.DriftComparison
)
