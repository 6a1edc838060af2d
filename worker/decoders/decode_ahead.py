"""Give the images of one batch to the decoder processes, in the order of the batch and ahead of their use."""

from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from db.ledger import Claimed
from worker.decoders.messages import DecodedImage, Undecoded
from worker.decoders.pool import DecodePool
from worker.fetching.files import is_in_store
from worker.inference.predictor import Inputs


class DecodeAhead:
    """Decodes images while earlier ones are used. Call `take` for each image of the batch, in its order."""

    def __init__(self, images: Sequence[Claimed], pool: DecodePool | None) -> None:
        """Start the first images at once. Without a `pool` the worker process reads all images itself."""
        self._pool = pool
        self._waiting = deque(image for image in images if pool is not None and is_for_decoders(image))
        self._numbers: dict[int, int] = {}
        self._submit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Give up the images that were not taken."""
        self._waiting.clear()
        for number in self._numbers.values():
            if self._pool is not None:
                self._pool.abandon(number)
        self._numbers.clear()

    def take(self, image: Claimed, progress: Callable[[], None]) -> tuple[DecodedImage, tuple[Inputs, ...]] | Undecoded:
        """Return the decoded image with its arrays, or why the worker process must read it itself.

        `progress` is called while images are decoded; an exception from it is passed on.
        """
        pool = self._pool
        if pool is None or not is_for_decoders(image):
            return Undecoded.NOT_PLAIN
        self._submit()
        while image.work_id not in self._numbers:  # decoders are still busy with a batch that was given up
            if pool.is_lost:
                return Undecoded.NOT_PLAIN
            pool.wait_for_slot(progress)
            self._submit()
        result = pool.take(self._numbers[image.work_id], progress)
        del self._numbers[image.work_id]
        self._submit()
        return result

    def _submit(self) -> None:
        while self._waiting and self._pool is not None and self._pool.can_accept():
            image = self._waiting.popleft()
            self._numbers[image.work_id] = self._pool.submit(image)


def is_for_decoders(image: Claimed) -> bool:
    """Return whether a decoder reads the image: it is in a folder, and is not suspected of killing processes."""
    return not image.alone and not is_in_store(image)
