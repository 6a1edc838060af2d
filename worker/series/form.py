"""Form the results of series that are due: claim, read what was recorded, arrange, aggregate, record."""

import logging
import time
from collections.abc import Iterator
from functools import lru_cache, partial

from sqlalchemy.exc import SQLAlchemyError

from db import ledger, queries
from db.ledger import PARTIAL_CAUSES, ClaimedSeries, FormedSeries, SeriesResult
from db.queries import BundleLabels, Completeness, SeriesSlices
from models.bundle import Bundle
from models.catalogue import bundle_of_result
from models.runtimes.sequence_head import load_head
from models.series.aggregates import Head
from nightread.errors import StopWork
from nightread.reasons import Reason
from worker.context import WorkerContext
from worker.series.ordering import order_to_store, waiting_images
from worker.series.results import Completion, series_results

log = logging.getLogger(__name__)

_AT_ONCE = 16
"""Number of series that are claimed and recorded together. A commit takes as long as forming a series of 200 slices, so
one commit per series would be slow."""
_MOST_SECONDS = 20.0
"""A process forms series for at most this time, because images wait for it. Then the dispatcher sends a new message."""


def form_due_series(context: WorkerContext) -> dict[str, int]:
    """Form series until none is due, for at most 20 s. Returns how many were formed and how many failed.

    A series that cannot be formed does not stop the other series. It is tried again later, and is
    `failed(series_not_formed)` after the third attempt. Raises errors of the database.
    """
    context.reload_routes()
    former = SeriesFormer(context)
    counts = {"series": 0, "failed": 0}
    until = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < until:
        claimed = ledger.claim_series(context.database, most=_AT_ONCE, lease=context.lease, now=context.clock())
        if not claimed:
            break
        formed = [each for one in claimed if (each := former.form(one)) is not None]
        counts["failed"] += len(claimed) - len(formed)
        record = partial(ledger.record_series, context.database, formed, now=context.clock())
        counts["series"] += context.retry_while_unavailable(record)
        if any(each.released for each in formed):
            context.notify_dispatcher()
    return counts


class SeriesFormer:
    """Computes the results of claimed series."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._completion = lru_cache(_AT_ONCE)(self._completion_of_study)

    def form(self, claimed: ClaimedSeries) -> FormedSeries | None:
        """Return the series with its results. If they cannot be computed, record and log the error, and return None."""
        try:
            return self._form(claimed)
        except (SQLAlchemyError, StopWork):
            raise
        except Exception as error:
            log.exception("series not formed", extra={"series": claimed.id})
            context, name = self._context, type(error).__name__
            fail = partial(ledger.fail_series, context.database, claimed, error=name, now=context.clock())
            context.retry_while_unavailable(fail)
            return None

    def _form(self, claimed: ClaimedSeries) -> FormedSeries:
        slices = queries.series_slices(
            self._context.database,
            study_instance_uid=claimed.study_instance_uid,
            series_instance_uid=claimed.series_instance_uid,
        )
        if waiting := waiting_images(slices):
            patients = frozenset(row.patient_key for row in slices.rows if row.patient_key)
            order = order_to_store(slices)
            return FormedSeries(
                claimed=claimed, results=None, patient_keys=patients, released=waiting, stored_order=order
            )
        completion = Completion(
            is_early=claimed.cause in PARTIAL_CAUSES, missing=self._completion(claimed.study_instance_uid)
        )
        results: list[SeriesResult] = []
        for bundle_id in sorted(slices.bundles.keys() & {row.bundle_id for row in slices.rows}):
            bundle, head = self._bundle(bundle_id, slices.bundles[bundle_id])
            if bundle is None:
                results.append(_without_bundle(bundle_id))
            else:
                results.extend(series_results(slices, bundle_id, bundle, completion, head))
        results.extend(self._ambiguous(slices))
        patients = frozenset(row.patient_key for row in slices.rows if row.patient_key)
        return FormedSeries(claimed=claimed, results=results, patient_keys=patients)

    def _ambiguous(self, slices: SeriesSlices) -> Iterator[SeriesResult]:
        """Yield the results of a series whose slices were rejected because their order is ambiguous."""
        refused = {row.image_id for row in slices.rows if row.reason == Reason.AMBIGUOUS_SERIES}
        for model in self._context.model_set.models.values() if refused else ():
            if model.bundle.series is not None and model.bundle.spec.needs_neighbours:
                reason = Reason.AMBIGUOUS_SERIES
                yield SeriesResult(
                    bundle_id=model.bundle_id, stack=0, reason=reason, detail=reason.message, of_slices=len(refused)
                )

    def _bundle(self, bundle_id: int, labels: BundleLabels) -> tuple[Bundle | None, Head | None]:
        """Return the loaded bundle and its sequence head. If no rule names the bundle any more, load both.

        The bundle is None if no folder of bundles holds it any more. The head is None if the bundle has none.
        """
        for model in self._context.model_set.models.values():
            if model.bundle_id == bundle_id:
                return model.bundle, model.head
        settings = self._context.settings
        bundle = bundle_of_result(labels.reference, labels.digest, settings.bundle_folders)
        return bundle, load_head(bundle, settings.runtime) if bundle is not None and bundle.has_head else None

    def _completion_of_study(self, study_instance_uid: str) -> str | None:
        """Return a sentence if images of the study are missing, else None."""
        database, now = self._context.database, self._context.clock()
        if not queries.studies_with_number(database, [study_instance_uid]):
            return None  # counting the images of a study takes 10 ms
        study = next(queries.studies(database, now=now, study_instance_uid=study_instance_uid), None)
        if study is None or study.completeness is not Completeness.INCOMPLETE:
            return None
        return f"{study.images:,} of {study.expected:,} images of the study arrived."


def _without_bundle(bundle_id: int) -> SeriesResult:
    reason = Reason.INTERNAL_ERROR
    again = f"`nightread retry --reason {reason.value}`"
    detail = f"The bundle is not on this host any more. Copy its folder back, then run {again}."
    return SeriesResult(bundle_id=bundle_id, stack=0, reason=reason, detail=detail)
