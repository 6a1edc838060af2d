"""Read the cards (bundle.json) of the bundles on this host, to show thresholds next to scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.bundle import read_card
from models.catalogue import Entry, entries
from nightread.errors import StopWork
from nightread.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRow:
    """The score of one label, with the threshold at which the label becomes the result."""

    label: str
    score: float
    threshold: float | None
    """The score from which this label counts. None for the normal label, and if the highest score decides."""
    is_result: bool


def card_of(settings: Settings, digest: str | None) -> Mapping[str, Any] | None:
    """Return the card of the bundle with this digest; None if this host does not have it. The card is not verified."""
    if digest is None:
        return None
    return next((card for _, card in readable_cards(settings) if card.get("digest") == digest), None)


def readable_cards(settings: Settings) -> Iterator[tuple[Entry, Mapping[str, Any]]]:
    """Yield the bundles of this host with their cards; leave out bundles whose card cannot be read."""
    for entry in entries(settings.bundle_folders):
        try:
            yield entry, read_card(entry.path)
        except StopWork:
            continue


def score_rows(
    scores: Mapping[str, float] | None, label: str | None, card: Mapping[str, Any] | None
) -> Sequence[ScoreRow]:
    """Return one row per label, the highest score first."""
    thresholds = card.get("thresholds") if card else None
    levels = thresholds if isinstance(thresholds, dict) else {}
    rows = [
        ScoreRow(
            label=name,
            score=score,
            threshold=level if isinstance(level := levels.get(name), int | float) else None,
            is_result=name == label,
        )
        for name, score in (scores or {}).items()
    ]
    return sorted(rows, key=lambda row: -row.score)
