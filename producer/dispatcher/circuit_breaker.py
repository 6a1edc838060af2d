"""Decide from the latest outcomes whether dispatch must pause: many bad outcomes point to a fault of the deployment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Self

from db.queries import Outcomes, Pause
from nightread.settings import Settings

PROBE_IMAGES = 16
"""Number of images in the batch that tests whether outcomes are good again."""


class BreakerAction(Enum):
    """What the dispatcher does next during a pause by the circuit breaker."""

    WAIT = auto()
    """Wait: the next probe is not due, or the outcomes of the latest probe are not known yet."""
    PROBE = auto()
    """Send a probe."""
    DISCARD_PROBE = auto()
    """The probe was bad or has no outcomes: wait for the next probe."""
    RESUME = auto()
    """The probe was good: end the pause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CircuitBreaker:
    """Decides by three settings when to pause dispatch, when to send a probe, and when to end the pause."""

    images: int
    """Number of latest outcomes to look at; 0 means never pause."""
    share: float
    probe_every: timedelta

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Make the circuit breaker of these settings."""
        return cls(
            images=settings.breaker_images,
            share=settings.breaker_share,
            probe_every=timedelta(seconds=settings.breaker_probe_seconds),
        )

    def trips(self, latest: Outcomes) -> bool:
        """Return whether to pause dispatch. Fewer outcomes than `images` never cause a pause."""
        return 0 < self.images <= latest.total and latest.share >= self.share

    def next_action(self, pause: Pause, probe: Outcomes | None, now: datetime) -> BreakerAction:
        """Return what to do during a pause. `probe` has the outcomes of its probe; None while these are unknown."""
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
        return BreakerAction.RESUME if probe.total and probe.share < self.share else BreakerAction.DISCARD_PROBE

    def message(self, latest: Outcomes) -> str:
        """Explain in one sentence for `status` why the images of a source were paused."""
        return (
            f"{latest.bad:,} of its latest {latest.total:,} images failed or were defective, "
            f"most often with the reason {latest.worst or 'unknown'}."
        )

    def message_of_faults(self, latest: Outcomes) -> str:
        """Explain in one sentence for `status` why all images were paused."""
        return (
            f"{latest.bad:,} of the latest {latest.total:,} images failed, from several sources, "
            f"most often with the reason {latest.worst or 'unknown'}."
        )
