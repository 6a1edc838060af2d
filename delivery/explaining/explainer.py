"""Explain the findings of a study, in a process that is started when it is first needed."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from typing import Any

from db import queries
from db.engine import Database
from db.queries import ReportableResult, StudyResults
from delivery.evidence import NO_EVIDENCE, Evidence, NoRegions, StudyEvidence
from delivery.explaining.messages import KEY_IMAGE, Explained, ExplainRequest
from delivery.report import Revision
from imaging.spec import InputSpec
from models.bundle import CARD_FILE, read_card
from models.catalogue import entries
from models.runtimes.load import is_installed
from nightread.errors import StopWork
from nightread.piped_process import PipedProcess
from nightread.runtime_names import RUNTIMES
from nightread.settings import Settings
from nightread.uids import stable_uid

log = logging.getLogger(__name__)

MOST_FINDINGS = 50
"""The largest number of findings that are explained for one report. The highest scores come first."""
MOST_SECONDS = 120.0
"""Time after which the remaining findings of a report are not explained."""
_START_SECONDS = 60
"""Additional time for the first request, since Keras takes 10 s to import on a slow disk."""
_UNUSED_SECONDS = 60
_NO_OPENCV = "No key image: run `pip install 'nightread[worker]'` on the host that sends reports."


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyExplanation:
    """The evidence for the findings of a study, and the pictures that were made of their images."""

    evidence: StudyEvidence = NO_EVIDENCE
    objects: tuple[bytes, ...] = ()
    """DICOM files: heat maps and key images."""
    left_out: tuple[str, ...] = ()
    """Sentences that say which objects were not made, without repetitions."""


class Explainer:
    """Starts the explaining process on first use.

    `close` ends the process, and `close_if_unused` ends it after a minute without use.
    """

    def __init__(self, settings: Settings, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start no process yet. `clock` returns seconds."""
        self._settings = settings
        self._database = database
        self._clock = clock
        self._process: PipedProcess | None = None
        self._used_at = 0.0

    def explain(
        self, study: StudyResults, revision: Revision, objects: Iterable[str], *, burned_in: bool
    ) -> StudyExplanation:
        """Explain the findings of a study. `objects` has the wanted pictures: `heat_map`, `key_image`, both or none."""
        findings = sorted((one for one in study.results if one.is_finding), key=lambda one: -one.score)
        explained = list(self._explain_all(study, findings, revision, frozenset(objects), burned_in=burned_in))
        without = Counter(answer.no_regions for _, answer in explained if answer.no_regions is not None)
        found: dict[tuple[int, str], Evidence] = {
            (result.image_id, result.bundle.digest): answer.evidence for result, answer in explained if answer.evidence
        }
        sentences = dict.fromkeys(sentence for _, answer in explained for sentence in answer.left_out)
        return StudyExplanation(
            evidence=StudyEvidence(found=found, without=without),
            objects=tuple(file for _, answer in explained for file in answer.objects),
            left_out=tuple(sentences),
        )

    def close_if_unused(self) -> None:
        """End the process if it was not used for a minute, since it takes 0.9 GB of memory."""
        if self._process is not None and self._clock() - self._used_at > _UNUSED_SECONDS:
            self.close()

    def close(self) -> None:
        """End the process. The next request starts a new one."""
        if self._process is not None:
            self._process.stop()
        self._process = None

    def _explain_all(
        self,
        study: StudyResults,
        findings: list[ReportableResult],
        revision: Revision,
        objects: frozenset[str],
        *,
        burned_in: bool,
    ) -> Iterator[tuple[ReportableResult, Explained]]:
        ends_at = self._clock() + MOST_SECONDS
        chosen = findings[:MOST_FINDINGS]
        files = queries.originals_of(self._database, [result.image_id for result in chosen])
        for number, result in enumerate(findings, start=1):
            reason = self._why_not(result)
            if number > MOST_FINDINGS or self._clock() >= ends_at:
                yield result, Explained(no_regions=NoRegions.TOO_MANY)
            elif result.image_id not in files:
                yield result, Explained(no_regions=NoRegions.NO_ORIGINAL)
            elif find_spec("cv2") is None:
                yield result, Explained(no_regions=reason, left_out=(_NO_OPENCV,) if KEY_IMAGE in objects else ())
            elif reason is not None and KEY_IMAGE not in objects:
                yield result, Explained(no_regions=reason)
            else:
                request = ExplainRequest(
                    result=result,
                    study_instance_uid=study.study_instance_uid,
                    original=files[result.image_id],
                    can_explain=reason is None,
                    uids={name: _uid(name, result, revision) for name in objects},
                    number=MOST_FINDINGS * (revision.number - 1) + number,
                    made_at=revision.made_at,
                    not_for_diagnosis=self._settings.not_for_diagnosis,
                    burned_in=burned_in,
                )
                answer = self._ask(request)
                yield result, answer if reason is None else _with_reason(answer, reason)

    def _why_not(self, result: ReportableResult) -> NoRegions | None:
        """Return why this host cannot compute regions for a result, or None if it can."""
        if not any(map(is_installed, RUNTIMES)):
            return NoRegions.NOT_INSTALLED
        spec = self._spec_of(result)
        if spec is None:
            return NoRegions.NO_BUNDLE
        return NoRegions.NEEDS_NEIGHBOURS if spec.needs_neighbours else None

    def _spec_of(self, result: ReportableResult) -> InputSpec | None:
        """Return the input spec of the bundle of a result, or None if this host does not have the bundle."""
        wanted = result.bundle
        for entry in entries(self._settings.bundle_folders):
            if (entry.name, entry.version) == (wanted.name, wanted.version):
                try:
                    card = read_card(entry.path)
                    if card.get("digest") == wanted.digest:
                        return InputSpec.from_json(card["input"])
                except (StopWork, KeyError, TypeError, ValueError):
                    log.debug("a %s cannot be read", CARD_FILE)
        return None

    def _ask(self, request: ExplainRequest) -> Explained:
        starts = self._process is None
        seconds = self._settings.image_timeout_seconds + (_START_SECONDS if starts else 0)
        try:
            connection = self._open_connection()
            connection.send(request)
            if connection.poll(seconds):
                answer: Explained = connection.recv()
                self._used_at = self._clock()
                return answer
        except (EOFError, OSError):
            log.warning("the explaining process ended", extra={"image": request.result.image_id})
        except BaseException:
            self.close()  # the caller gives up; the process may still be busy with the image
            raise
        self.close()
        return Explained(no_regions=NoRegions.FAILED)

    def _open_connection(self) -> "Connection[Any, Any]":
        if self._process is None:
            self._process = PipedProcess("delivery.explaining.process")
            # Settings that were read from a file are of a local class, which cannot be pickled.
            self._process.connection.send(Settings.model_construct(**dict(self._settings)))
        return self._process.connection


def _with_reason(answer: Explained, reason: NoRegions) -> Explained:
    """Return the answer with this reason why the finding has no region, unless the answer states a reason itself."""
    return Explained(no_regions=answer.no_regions or reason, objects=answer.objects, left_out=answer.left_out)


def _uid(name: str, result: ReportableResult, revision: Revision) -> str:
    """Return the UID of an object, which is the same at each attempt."""
    return stable_uid(name, revision.sop_instance_uid, result.sop_instance_uid, result.bundle.digest)
