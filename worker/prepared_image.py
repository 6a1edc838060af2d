"""Define the values that hold one image between reading and prediction."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from db.ledger import Claimed
from imaging.facts import Facts
from imaging.remarks import Remarks
from models.routing import RouteMatch
from nightread.errors import RejectImage
from worker.fetching.files import Fetched
from worker.inference.predictor import Inputs


class ParsedImage(NamedTuple):
    """An image whose header was parsed: its file, header facts and routing. It is kept until the batch is recorded."""

    image: Claimed
    file: Fetched
    """Identity of the file (content, size, modification time), without its bytes."""
    facts: Facts
    matches: tuple[RouteMatch, ...]
    """The matched routing rules; the first gives the answer, unless it is a shadow rule. Empty if no rule matches."""
    refused: Mapping[str, RejectImage]
    """The bundles that have no result for this image, each with the reason."""
    remarks: Remarks
    """Remarks on the image. Read `refused`, `remarks` and `model_remarks` after the last chunk: decoding may add to
    them."""
    model_remarks: Mapping[str, Remarks] = MappingProxyType({})
    """Remarks on the inputs of single models, by bundle."""


class PreparedImage(NamedTuple):
    """An image and its prepared frames, ready for the networks."""

    parsed: ParsedImage
    targets: tuple[tuple[str, int], ...]
    """The bundles that analyse the image, each with the index of its array in a chunk. Equal specs share an array."""
    chunks: Iterable[tuple[Inputs, ...]]
    """One item per chunk: a float32 array (frames, height, width, channels) for each input spec.

    If all frames fit into one chunk, it is decoded already. Otherwise each chunk is decoded when the iteration reaches
    it.
    """
    held_bytes: int
    """Bytes of the chunks that are prepared already; 0 if they are decoded during prediction."""
