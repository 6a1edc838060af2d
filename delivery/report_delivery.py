"""Deliver reports to one destination: commit a draft, send it, record the outcome."""

import logging
import random
from dataclasses import dataclass
from datetime import timedelta, tzinfo

from sqlalchemy.exc import SQLAlchemyError

from db import ledger, queries
from db.engine import Database
from db.ledger.delivery_values import POSSIBLY_TAKEN
from db.queries import Delivery, DeliveryState, StudyResults
from delivery.content import content_digest
from delivery.explaining.explainer import MOST_SECONDS, Explainer
from delivery.originals import Originals
from delivery.reasons import DeliveryReason, NotDelivered
from delivery.report import Revision
from delivery.send import ReportSender
from delivery.study_objects import StudyObjects
from nightread.clock import Clock, utc_now
from nightread.errors import StopWork
from nightread.settings import Settings
from nightread.sources import Destination
from nightread.uids import new_uid

log = logging.getLogger(__name__)

_ORIGINALS = 3
"""Number of original files per study that are tried for the identity of the patient."""
_LEASE_SECONDS, _LEASE_SECONDS_PER_IMAGE = 60, 0.1
_EXPLAINING_LEASES = 2
"""An explanation prolongs the lease by this many times MOST_SECONDS: once for itself, and once to send up to a hundred
pictures."""
_DOUBLINGS = 30
_DOWN = (DeliveryReason.UNREACHABLE, DeliveryReason.REFUSED, DeliveryReason.CERTIFICATES)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryResult:
    """The outcome of one attempt to deliver a report."""

    delivery_id: int | None
    """Id of the delivery; None if a dry run finds a report that has no draft yet."""
    study_instance_uid: str
    destination: str
    revision: int
    images: int
    state: str
    reason: str | None = None
    detail: str | None = None


class ReportDelivery:
    """Delivers reports to one destination. Several instances, even on different hosts, do not send a report twice."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        destination: Destination,
        sender: ReportSender,
        *,
        explainer: Explainer | None = None,
        zone: tzinfo | None = None,
        at_once: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        """Use `zone` as the local time zone of the site; None means the time zone of the host.

        With `at_once`, ignore the pauses between attempts. If `explainer` is None, this delivery makes one for itself.
        """
        self._settings = settings
        self._database = database
        self._destination = destination
        self._objects = StudyObjects(
            destination=destination,
            sender=sender,
            explainer=explainer or Explainer(settings, database),
            not_for_diagnosis=settings.not_for_diagnosis,
        )
        self._zone = zone
        self._at_once = at_once
        self._clock = clock
        self._originals = Originals(settings)
        self._is_down = False

    def begin_pass(self) -> None:
        """Forget that the destination was unreachable, so that this pass tries it again."""
        self._is_down = False

    def preview(self, study_instance_uid: str, *, again: bool) -> DeliveryResult | None:
        """Return what `deliver` would do, without any effect."""
        study = queries.study_results(self._database, study_instance_uid)
        known = self._known(study_instance_uid)
        latest = known[-1] if known else None
        if not study.results or not _needs_report(latest, self._digest(study), again=again):
            return None
        waiting = latest is not None and latest.state == DeliveryState.WAITING
        return self._result(study, latest if waiting else None, len(known) + (not waiting), DeliveryState.WAITING)

    def deliver(self, study_instance_uid: str, *, again: bool) -> DeliveryResult | None:
        """Send the report of a study. Return None if there is nothing to send to this destination.

        If the latest report failed and its content has not changed, it is sent again, as a revision, only with `again`.
        """
        study = queries.study_results(self._database, study_instance_uid)
        if not study.results:
            return self._nothing_left(study)
        drafted = ledger.draft_delivery(
            self._database,
            study_instance_uid=study_instance_uid,
            destination=self._destination.name,
            content=self._digest(study),
            make_uid=new_uid,
            again=again,
            now=self._clock(),
        )
        if drafted is None:
            return None
        draft, number = drafted
        other_process_sends = draft.content != self._digest(study)
        if self._is_down or other_process_sends or not self._take(draft, study):
            return self._still_waiting(draft, number, study)
        return self._send(draft, number, study)

    def _nothing_left(self, study: StudyResults) -> DeliveryResult | None:
        """End a waiting report with NOTHING_LEFT: all images were withdrawn or superseded."""
        known = self._known(study.study_instance_uid)
        if not known or known[-1].state != DeliveryState.WAITING:
            return None
        return self._failed(known[-1], len(known), study, NotDelivered(DeliveryReason.NOTHING_LEFT))

    def _send(self, draft: Delivery, number: int, study: StudyResults) -> DeliveryResult:
        try:
            warning = self._send_objects(draft, number, study)
        except NotDelivered as error:
            return self._failed(draft, number, study, error)
        except (StopWork, SQLAlchemyError):
            raise
        except Exception as error:
            log.exception("unexpected error", extra={"delivery": draft.id})
            detail = f"An unexpected {type(error).__name__} occurred. The log names the line of code."
            return self._failed(draft, number, study, NotDelivered(DeliveryReason.INTERNAL_ERROR, detail))
        state = DeliveryState.DELIVERED
        ledger.end_delivery(self._database, draft.id, state, reason=None, detail=warning, now=self._clock())
        log.info("report delivered", extra=self._ids(draft) | {"images": study.images})
        return self._result(study, draft, number, state, detail=warning)

    def _send_objects(self, draft: Delivery, number: int, study: StudyResults) -> str | None:
        if study.patients > 1:
            raise NotDelivered(DeliveryReason.MIXED_PATIENTS)
        originals = queries.study_originals(self._database, study.study_instance_uid, limit=_ORIGINALS)
        revision = Revision(
            sop_instance_uid=draft.sop_instance_uid,
            replaces=draft.replaces,
            number=number,
            made_at=draft.created_at.astimezone(self._zone),
        )
        return self._objects.send(study, revision, self._originals.identity(study.study_instance_uid, originals))

    def _take(self, draft: Delivery, study: StudyResults) -> bool:
        now = self._clock()
        seconds = _LEASE_SECONDS + 4 * self._destination.timeout_seconds + _LEASE_SECONDS_PER_IMAGE * study.images
        if self._objects.needs_explanation(study):
            seconds += _EXPLAINING_LEASES * MOST_SECONDS
        until = now + timedelta(seconds=seconds)
        return ledger.claim_delivery(self._database, draft, until=until, at_once=self._at_once, now=now)

    def _failed(self, draft: Delivery, number: int, study: StudyResults, error: NotDelivered) -> DeliveryResult:
        reason, detail, now = error.reason, error.detail, self._clock()
        self._is_down = reason in _DOWN
        waits = reason is DeliveryReason.CERTIFICATES
        if draft.reason in POSSIBLY_TAKEN and not reason.final:
            # An earlier attempt may have stored the report: this UID must not be used for other results.
            reason = DeliveryReason.NO_ANSWER
        patience = timedelta(seconds=self._settings.retry_patience_seconds)
        log.warning("report not delivered", extra=self._ids(draft) | {"reason": error.reason.value})
        if reason.final or (now - draft.created_at >= patience and not waits):
            state = DeliveryState.FAILED
            ledger.end_delivery(self._database, draft.id, state, reason=reason, detail=detail, now=now)
        else:
            state, later = DeliveryState.WAITING, now + self._pause(draft.attempts)
            ledger.postpone_delivery(self._database, draft, reason=reason, detail=detail, not_before=later)
            if waits:
                ledger.hold_deliveries(self._database, draft.destination, reason=error.reason, detail=detail, now=now)
        return self._result(study, draft, number, state, reason=reason, detail=detail)

    def _pause(self, attempts: int) -> timedelta:
        """Return the pause before the next attempt. It doubles each time up to a limit, and has jitter."""
        longest = self._settings.retry_base_seconds * 2 ** min(attempts, _DOUBLINGS)
        return timedelta(seconds=min(longest, self._settings.retry_cap_seconds) * random.uniform(0.5, 1))  # noqa: S311

    def _still_waiting(self, draft: Delivery, number: int, study: StudyResults) -> DeliveryResult:
        return self._result(study, draft, number, draft.state, reason=draft.reason, detail=draft.detail)

    def _result(
        self,
        study: StudyResults,
        draft: Delivery | None,
        number: int,
        state: DeliveryState | str,
        *,
        reason: str | None = None,
        detail: str | None = None,
    ) -> DeliveryResult:
        return DeliveryResult(
            delivery_id=draft.id if draft else None,
            study_instance_uid=study.study_instance_uid,
            destination=self._destination.name,
            revision=number,
            images=study.images,
            state=str(state),
            reason=reason and str(reason),
            detail=detail,
        )

    def _digest(self, study: StudyResults) -> str:
        return content_digest(study, not_for_diagnosis=self._settings.not_for_diagnosis)

    def _known(self, study_instance_uid: str) -> list[Delivery]:
        found = queries.deliveries(
            self._database, destination=self._destination.name, study_instance_uid=study_instance_uid
        )
        return list(found)

    def _ids(self, draft: Delivery) -> dict[str, object]:
        return {"delivery": draft.id, "destination": self._destination.name}


def _needs_report(latest: Delivery | None, content: str, *, again: bool) -> bool:
    if latest is None or latest.state == DeliveryState.WAITING or latest.content != content:
        return True
    return again and latest.state == DeliveryState.FAILED
