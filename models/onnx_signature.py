"""Describe what is needed to run the ONNX file of a bundle: the table `onnx` of bundle.json."""

from dataclasses import dataclass
from typing import Any, Self

NHWC, NCHW = LAYOUTS = ("NHWC", "NCHW")
"""The order of the axes of the input: images, height, width, channels; or images, channels, height, width."""
_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class OnnxSignature:
    """The input and the output of model.onnx. Both are float32 with a free number of images."""

    input: str
    """The name of the input of the graph."""
    output: str
    """The name of the output of the graph, which has the shape (images, labels)."""
    layout: str = NHWC
    opset: int
    """The version of the default operator set that the file was written for."""
    logits: bool = False
    """Whether the outputs are logits, to which nightread applies the activation of the bundle."""

    def __post_init__(self) -> None:
        """Raise ValueError for a value that no ONNX file can have."""
        for field_name, name in (("input", self.input), ("output", self.output)):
            if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
                raise ValueError(f"onnx.{field_name} must be a printable name of 1 to {_LONGEST_NAME} characters")
        if self.layout not in LAYOUTS:
            raise ValueError(f"onnx.layout {self.layout!r} must be one of {', '.join(LAYOUTS)}")
        if self.opset < 1:
            raise ValueError("onnx.opset must be a positive number")

    def to_json(self) -> dict[str, Any]:
        """Return the table for bundle.json."""
        return {
            "input": self.input,
            "output": self.output,
            "layout": self.layout,
            "opset": self.opset,
            **({"logits": True} if self.logits else {}),
        }

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> Self:
        """Read the table of bundle.json. Raises KeyError, TypeError or ValueError."""
        unknown = table.keys() - {"input", "output", "layout", "opset", "logits"}
        if unknown:
            raise ValueError(f"unknown fields in onnx: {', '.join(sorted(unknown))}")
        types = {"input": str, "output": str, "layout": str, "opset": int}
        for name, kind in types.items():
            if type(table[name]) is not kind:
                raise TypeError(f"onnx.{name} must be {'a number' if kind is int else 'a string'}")
        logits = table.get("logits", False)
        if not isinstance(logits, bool):
            raise TypeError("onnx.logits must be true or false")
        return cls(**{name: table[name] for name in types}, logits=logits)
