"""Build the objects of a study for one destination, and send them. The report comes last: it references the others."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pydicom
from pydicom.dataset import Dataset

from db.queries import StudyResults
from delivery.explaining.explainer import Explainer, StudyExplanation
from delivery.explaining.messages import HEAT_MAP, KEY_IMAGE
from delivery.identity import Identity
from delivery.reasons import DeliveryReason, NotDelivered
from delivery.report import Revision, build_regions, build_report
from delivery.send import ReportSender
from nightread.sources import Destination

_NOTHING = "The study has no finding, and the destination gets no report."
_REFUSED = (DeliveryReason.NOT_SUPPORTED, DeliveryReason.NOT_UNDERSTOOD)


@dataclass(frozen=True, kw_only=True)
class StudyObjects:
    """Sends the objects that the settings of a destination ask for."""

    destination: Destination
    sender: ReportSender
    explainer: Explainer
    not_for_diagnosis: bool

    def needs_explanation(self, study: StudyResults) -> bool:
        """Return whether findings of the study must be explained before any object is sent."""
        return self.destination.objects != ("report",) and any(result.is_finding for result in study.results)

    def send(self, study: StudyResults, revision: Revision, identity: Identity) -> str | None:
        """Send all objects. Return None, or sentences about warnings and about objects that were not made or accepted.

        An object other than the report is left out if the destination does not accept objects of its kind. Raises
        NotDelivered after any other failure. The next attempt then sends all objects again, with the same UIDs.
        """
        explanation = self._explanation(study, revision)
        sentences = list(explanation.left_out)
        stored: list[Dataset] = []
        refused: NotDelivered | None = None
        for instance in self._further(study, revision, identity, explanation):
            try:
                warning = self.sender.send(instance)
            except NotDelivered as error:
                if error.reason not in _REFUSED:
                    raise
                refused = error
                sentences.append(f"Not accepted: {_named(instance)}.")
            else:
                stored.append(instance)
                sentences.extend([warning] if warning else [])
        if "report" in self.destination.objects:
            report = build_report(
                study,
                revision,
                identity,
                explanation.evidence,
                further=stored,
                not_for_diagnosis=self.not_for_diagnosis,
            )
            warning = self.sender.send(report)
            sentences.extend([warning] if warning else [])
        elif refused is not None and not stored:
            raise refused
        elif not stored:
            sentences.append(_NOTHING)
        return " ".join(dict.fromkeys(sentences)) or None

    def _explanation(self, study: StudyResults, revision: Revision) -> StudyExplanation:
        if not self.needs_explanation(study):
            return StudyExplanation()
        wanted = [name for name in (HEAT_MAP, KEY_IMAGE) if name in self.destination.objects]
        return self.explainer.explain(study, revision, wanted, burned_in=self.destination.burned_in)

    def _further(
        self, study: StudyResults, revision: Revision, identity: Identity, explanation: StudyExplanation
    ) -> Iterator[Dataset]:
        if "regions" in self.destination.objects:
            regions = build_regions(
                study, revision, identity, explanation.evidence, not_for_diagnosis=self.not_for_diagnosis
            )
            if regions is not None:
                yield regions
        for file in explanation.objects:
            yield pydicom.dcmread(io.BytesIO(file))


def _named(instance: Dataset) -> str:
    return str(instance.SOPClassUID.name)
