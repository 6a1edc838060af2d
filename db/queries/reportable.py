"""Read what the report of a study needs: its current results, and whether more can follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, func, or_, select

from db.engine import Database
from db.queries.reportable_series import ReportedSeries, SeriesRow, series_rows, series_without_result
from db.queries.snapshot import snapshot
from db.queries.studies import Study
from db.tables import UNFINISHED, State, bundles, in_state, instances, predictions, work
from nightread.label_codes import LabelCode, label_codes_from_json
from nightread.plain_text import is_uid
from nightread.reasons import Fault, Reason

_DEFECTIVE = [reason.value for reason in Reason if reason.fault is Fault.DEFECTIVE]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedBundle:
    """The bundle of a result."""

    name: str
    version: str
    digest: str
    normal_label: str | None
    labels: tuple[str, ...] = ()
    codes: tuple[tuple[str, tuple[LabelCode, ...]], ...] = ()
    """Codes of standard terminologies, for labels that have any."""

    def codes_of(self, label: str) -> tuple[LabelCode, ...]:
        """Return the codes of a label; the first one is preferred."""
        return dict(self.codes).get(label, ())


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportableResult:
    """The result of one bundle for one image, with the UIDs by which a report refers to the image.

    A result of a series has the image of the slice that is the strongest evidence; `series` names the other images.
    """

    image_id: int
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    modality: str | None
    label: str | None
    score: float
    frames: tuple[int, ...]
    """Numbers, from 1, of the frames with this label. Empty unless the label is a finding, and some frames do not have
    it."""
    bundle: ReportedBundle
    scores: tuple[float, ...] = ()
    """Scores of the whole image, in the order of the bundle's labels."""
    strongest_frame: int | None = None
    """Number, from 1, of the frame that has this label with the highest score; None if the image has only one frame."""
    series: ReportedSeries | None = None
    """The stack of slices that the result is about; None if it is about the image."""

    @property
    def is_finding(self) -> bool:
        """Return whether the label is a finding, which means any label other than the normal label."""
        return self.label is not None and self.label != self.bundle.normal_label


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyResults:
    """The current results of a study."""

    study_instance_uid: str
    results: tuple[ReportableResult, ...]
    """The results in the order of arrival, with one entry per image and bundle."""
    images: int
    """Number of images with a result; several bundles may have results for one image."""
    without_result: int
    """Number of images that failed or are defective."""
    nameless: int
    """Number of images with a result that no report can name, because one of its UIDs is missing or is no valid UID."""
    patients: int
    """Number of different patients, as far as one site key can distinguish them."""
    in_conflict: int = 0
    """Number of images with a result that another source contests: by another version, or by a key object note."""
    series_without_result: int = 0
    """Number of series and stacks that have a reason instead of a result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """The images that may still add results to a study."""

    own: bool
    """True if images of the study have no outcome yet."""
    nearby: bool
    """True if unread images came from the same source at about the same time; they may belong to the study."""


def studies_with_outcomes(database: Database, *, since: datetime, until: datetime | None = None) -> list[str]:
    """List studies with an outcome in this time range, in the order of their first outcome; `until` is excluded."""
    statement = (
        select(instances.c.study_instance_uid, func.min(work.c.finished_at))
        .join(work, work.c.instance_id == instances.c.id)
        .where(work.c.finished_at.is_not(None), work.c.finished_at >= since)
        .where(instances.c.study_instance_uid.is_not(None))
        .group_by(instances.c.study_instance_uid)
        .order_by(func.min(work.c.finished_at))
    )
    if until is not None:
        statement = statement.where(work.c.finished_at < until)
    with database.read() as connection:
        return [row.study_instance_uid for row in connection.execute(statement)]


def study_results(database: Database, study_instance_uid: str) -> StudyResults:
    """Return the results of current, done images, without shadow results; empty for an unknown study."""
    with snapshot(database) as connection:
        rows: Sequence[Row[Any]] = connection.execute(_RESULTS, {"study": study_instance_uid}).all()
        frames = _frames_with_label(connection, study_instance_uid)
        without = connection.execute(_WITHOUT_RESULT, {"study": study_instance_uid}).scalar_one()
        has_series = any(row.of_series for row in rows)
        of_series = series_rows(connection, study_instance_uid) if has_series else []
        refused = series_without_result(connection, study_instance_uid) if has_series else 0
    named = [row for row in rows if is_uid(study_instance_uid) and _is_named(row)]
    of_images = [row for row in named if not row.of_series]
    bundles_by_id = {number: _bundle(row) for number, row in {row.bundle_id: row for row in rows}.items()}
    return StudyResults(
        study_instance_uid=study_instance_uid,
        results=(
            *(_result(row, bundles_by_id[row.bundle_id], frames.get(row.work_id, {})) for row in of_images),
            *(_series_result(found) for found in of_series if is_uid(study_instance_uid)),
        ),
        images=len({row.image_id for row in named}),
        without_result=without,
        nameless=len({row.image_id for row in rows}) - len({row.image_id for row in named}),
        patients=_patients(rows),
        in_conflict=len({row.image_id for row in named if row.conflict_with is not None}),
        series_without_result=refused,
    )


def pending(database: Database, study: Study, *, around: timedelta) -> Pending:
    """Return whether more results may follow.

    Unread images of the same source that arrived within `around` of the study's arrivals may belong to the study.
    """
    named = {"study": study.study_instance_uid}
    first, last = study.first_arrival, study.last_arrival
    with snapshot(database) as connection:
        own = connection.execute(_OWN, named).first()
        window = {**named, "begin": first - around, "end": last + around} if first and last else None
        nearby = connection.execute(_NEARBY, window).first() if window else None
    return Pending(own=own is not None, nearby=nearby is not None)


def _is_named(row: Row[Any]) -> bool:
    """Return whether all UIDs of the image are valid; with an invalid UID, the report would be invalid too."""
    return all(uid and is_uid(uid) for uid in (row.sop_instance_uid, row.sop_class_uid, row.series_instance_uid))


def _bundle(row: Row[Any]) -> ReportedBundle:
    return ReportedBundle(
        name=row.name,
        version=row.version,
        digest=row.digest,
        normal_label=row.normal_label,
        labels=tuple(row.labels),
        codes=tuple(sorted(label_codes_from_json(row.codes or {}, row.labels).items())),
    )


def _result(row: Row[Any], bundle: ReportedBundle, frames: Mapping[int, float]) -> ReportableResult:
    finding = row.label is not None and row.label != bundle.normal_label
    in_some_frames = finding and 0 < len(frames) < (row.frames or 1)
    return ReportableResult(
        image_id=row.image_id,
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        series_instance_uid=row.series_instance_uid,
        modality=row.modality,
        label=row.label,
        score=row.score,
        frames=tuple(frame + 1 for frame in frames) if in_some_frames else (),
        bundle=bundle,
        scores=tuple(row.scores or ()),
        strongest_frame=max(frames, key=lambda frame: frames[frame]) + 1 if frames else None,
    )


def _series_result(found: SeriesRow) -> ReportableResult:
    strongest = found.strongest
    return ReportableResult(
        image_id=strongest.id,
        sop_instance_uid=strongest.sop_instance_uid,
        sop_class_uid=strongest.sop_class_uid,
        series_instance_uid=strongest.series_instance_uid,
        modality=strongest.modality,
        label=found.row.label,
        score=found.row.score,
        frames=found.reported.images[0].frames,
        bundle=_bundle(found.row),
        scores=tuple(found.row.scores or ()),
        strongest_frame=found.strongest_frame,
        series=found.reported,
    )


def _frames_with_label(connection: Connection, study_instance_uid: str) -> dict[int, dict[int, float]]:
    """Return the scores of the frames that have the label of their image, by work id and frame, from 0."""
    found: dict[int, dict[int, float]] = {}
    for row in connection.execute(_FRAMES_WITH_LABEL, {"study": study_instance_uid}):
        found.setdefault(row.work_id, {})[row.frame] = row.score
    return found


def _patients(rows: Sequence[Row[Any]]) -> int:
    """Count patients. Keys of different site keys are not compared; images without a key count as one patient."""
    by_key: dict[str | None, set[str | None]] = {}
    for row in rows:
        by_key.setdefault(row.key_id, set()).add(row.patient_key)
    return max((len(keys) for keys in by_key.values()), default=0)


_OF_STUDY = instances.c.study_instance_uid == bindparam("study")
_CURRENT = and_(_OF_STUDY, instances.c.superseded_by.is_(None), instances.c.withdrawn_by.is_(None))
WITH_RESULT = and_(_CURRENT, work.c.state == State.DONE, ~work.c.shadow, work.c.bundle_id.is_not(None))

_RESULTS: Select[Any] = (
    select(
        instances.c.id.label("image_id"),
        instances.c.sop_instance_uid,
        instances.c.sop_class_uid,
        instances.c.series_instance_uid,
        instances.c.modality,
        instances.c.frames,
        instances.c.patient_key,
        instances.c.key_id,
        instances.c.conflict_with,
        work.c.id.label("work_id"),
        work.c.label,
        work.c.score,
        work.c.scores,
        work.c.bundle_id,
        bundles.c.name,
        bundles.c.version,
        bundles.c.digest,
        bundles.c.normal_label,
        bundles.c.labels,
        bundles.c.codes,
        bundles.c.of_series,
    )
    .join(work, work.c.instance_id == instances.c.id)
    .join(bundles, bundles.c.id == work.c.bundle_id)
    .where(WITH_RESULT)
    .order_by(instances.c.id, work.c.ordinal)
)

_FRAMES_WITH_LABEL = (
    select(predictions.c.work_id, predictions.c.frame, predictions.c.score)
    .join(work, work.c.id == predictions.c.work_id)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(WITH_RESULT, instances.c.frames > 1, predictions.c.label == work.c.label)
    .order_by(predictions.c.work_id, predictions.c.frame)
)

_WITHOUT_RESULT = (
    select(func.count())
    .select_from(instances)
    .join(work, work.c.instance_id == instances.c.id)
    .where(_CURRENT, work.c.ordinal == 0)
    .where(or_(work.c.state == State.FAILED, and_(work.c.state == State.REJECTED, work.c.reason.in_(_DEFECTIVE))))
)

_OWN = (
    select(work.c.id)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(_OF_STUDY, work.c.state.in_(UNFINISHED), work.c.ordinal == 0)
    .limit(1)
)

# An unread image has no study yet; images of the same source and time may belong to this one.
_NEARBY = (
    select(work.c.id)
    .join(instances, instances.c.id == work.c.instance_id)
    .where(
        in_state(*UNFINISHED),
        work.c.ordinal == 0,
        instances.c.study_instance_uid.is_(None),
        instances.c.arrived_at >= bindparam("begin"),
        instances.c.arrived_at <= bindparam("end"),
        # An expression, so that the search starts with the time: one source has nearly all arrivals.
        (instances.c.source_id + 0).in_(select(instances.c.source_id).where(_OF_STUDY).distinct()),
    )
    .limit(1)
)
