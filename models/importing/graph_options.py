"""Hold what a card states about an ONNX file.

A card states which input and output to use, the order of the input's axes, and whether the outputs are logits.
"""

from dataclasses import dataclass

OF_CARD = ("layout", "input_name", "output_name", "logits")
"""The fields of a card that only ONNX files need; bundle.json does not have them."""
FREE, ONE_BY_ONE = "any number of images", "one image after the other"
"""The two ways in which a graph takes a batch, in the words of import.json."""


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """What a card states about the graph of an ONNX file. A field that is None is derived from the file."""

    activation: str
    """`softmax` if the labels exclude each other, else `sigmoid`. This function is also applied to logits."""
    layout: str | None = None
    input_name: str | None = None
    output_name: str | None = None
    logits: bool = False
    """Whether the outputs are logits, so that nightread adds the activation to the network."""

    @property
    def given(self) -> tuple[str, ...]:
        """Return the names of the fields that differ from the defaults."""
        return tuple(name for name in OF_CARD if getattr(self, name))
