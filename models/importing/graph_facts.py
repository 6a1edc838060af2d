"""Hold what the sandbox found in an ONNX file, for import.json and for the signature of the bundle."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from models.importing.architecture import printable
from models.onnx_signature import LAYOUTS, NHWC, OnnxSignature

_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class GraphFacts:
    """Facts about a foreign ONNX file, and about the graph that was converted from it."""

    onnxruntime: str
    opset: int
    ir_version: int
    producer: str
    """The program that wrote the file, such as `pytorch 2.9.0`."""
    layout: str
    """The order of the axes that the foreign graph takes; the converted graph takes NHWC."""
    source: str
    target: str
    """The input and output of the foreign graph, with types and shapes."""
    input_type: str
    batch: str
    added: tuple[str, ...]
    """The operators that the conversion added at the input and at the output, such as Transpose and Softmax."""
    input: str
    output: str
    """The names of the input and output of the converted graph."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read the facts that the sandbox returns, which are not trusted. Raises KeyError, TypeError or ValueError."""
        names = ("onnxruntime", "producer", "source", "target", "input_type", "batch", "input", "output")
        texts = {name: printable(str(values.get(name, ""))[:_LONGEST]) for name in names}
        return cls(
            **texts,
            opset=int(values["opset"]),
            ir_version=int(values["ir_version"]),
            layout=LAYOUTS[LAYOUTS.index(values["layout"])],
            added=tuple(printable(str(name)[:40]) for name in list(values.get("added", ()))[:20]),
        )

    @property
    def signature(self) -> OnnxSignature:
        """Return how to run the converted graph. Raises ValueError for names that no bundle may have."""
        return OnnxSignature(input=self.input, output=self.output, layout=NHWC, opset=self.opset)

    def to_json(self) -> dict[str, Any]:
        """Return the table `graph` of import.json."""
        return asdict(self) | {"added": list(self.added)}
