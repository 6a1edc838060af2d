"""Hold what a card states about an ONNX file: which input and output, the order of its axes, and logits."""

from dataclasses import dataclass

OF_CARD = ("layout", "input_name", "output_name", "logits")
"""The fields of a card that only ONNX files need; bundle.json does not have them."""
FREE, ONE_BY_ONE = "any number of images", "one image after the other"
"""How a graph takes a batch, as import.json states it."""


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """What a card states about the graph of an ONNX file. A field that is None is derived from the file."""

    activation: str
    """`softmax` if the labels exclude each other, else `sigmoid`. It is also the function that is applied to logits."""
    layout: str | None = None
    input_name: str | None = None
    output_name: str | None = None
    logits: bool = False
    """Whether the outputs are logits, so that nightread adds the activation to the network."""

    @property
    def given(self) -> tuple[str, ...]:
        """Return the names of the fields that differ from the defaults."""
        return tuple(name for name in OF_CARD if getattr(self, name))
