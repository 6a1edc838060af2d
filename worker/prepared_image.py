"""Hold one image that was read: what is recorded of it, and its frames on their way to the networks."""

from collections.abc import Iterable
from typing import NamedTuple

from db.ledger import Claimed
from imaging.facts import Facts
from models.routing import RouteMatch
from worker.fetching.files import Fetched
from worker.inference.predictor import Inputs


class ReadImage(NamedTuple):
    """What stays of an image once its frames are predicted: file, header facts, and the networks to which it went."""

    image: Claimed
    file: Fetched
    """Without its data."""
    facts: Facts
    matches: tuple[RouteMatch, ...]
    """The network of the answer first; empty where no rule takes the image."""


class PreparedImage(NamedTuple):
    """An image and its prepared frames."""

    read_image: ReadImage
    spec_of: tuple[int, ...]
    """For each of its matches the position of its array in a chunk."""
    chunks: Iterable[tuple[Inputs, ...]]
    """For each chunk of frames one array (frames, height, width, channels) per spec; may decode while iterated."""
    held_bytes: int
    """Of those chunks that are prepared already."""
