"""Whether the latest outcomes are so bad that the deploy must be wrong and not the scans. Numbers in, decision out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Self

from db.queries import Outcomes, Pause
from nightread.settings import Settings

PROBE_IMAGES = 16
"""So many images are risked, in one batch, to see whether outcomes are good again."""


class BreakerAction(Enum):
    """What becomes of the breaker's pause."""

    WAIT = auto()
    """The next probe is not due, or its outcomes are awaited."""
    PROBE = auto()
    """A probe may go."""
    FORGET = auto()
    """The probe was bad, or told nothing: the next one comes in its time."""
    RESUME = auto()
    """The probe was good: the pause is over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitBreaker:
    """The three numbers of the settings by which it is decided."""

    images: int
    """Decide on this many outcomes; 0: never pause."""
    share: float
    probe_every: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The breaker that these settings ask for."""
        return cls(
            images=settings.breaker_images,
            share=settings.breaker_share,
            probe_every=timedelta(seconds=settings.breaker_probe_seconds),
        )

    def trips(self, latest: Outcomes) -> bool:
        """Whether dispatch is to be paused: fewer outcomes than `images` prove nothing."""
        return 0 < self.images <= latest.total and latest.share >= self.share

    def next_action(self, pause: Pause, probe: Outcomes | None, now: datetime) -> BreakerAction:
        """What to do while the pause is in force; `probe` is None unless the outcomes of its probe are known."""
        if self.images == 0:
            return BreakerAction.RESUME
        if pause.probe_batch is None:
            return (
                BreakerAction.PROBE
                if now - (pause.probed_at or pause.since) >= self.probe_every
                else BreakerAction.WAIT
            )
        if probe is None:
            return BreakerAction.WAIT
        return BreakerAction.RESUME if probe.total and probe.share < self.share else BreakerAction.FORGET

    def sentence(self, latest: Outcomes) -> str:
        """Why it tripped, for `status`."""
        return (
            f"{latest.bad:,} of the latest {latest.total:,} images failed or were defective, "
            f"most of them for {latest.worst or 'no known reason'}."
        )
