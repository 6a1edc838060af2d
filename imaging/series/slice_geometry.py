"""Define the geometry of one slice of a series, and the attributes that separate its stack from other stacks."""

from typing import Any, NamedTuple, Self

Position = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]


class StackAttributes(NamedTuple):
    """The header values in which stacks of one series differ. A field is None if the header has no usable value."""

    stack_id: str | None = None
    """Stack ID (0020,9056) of Enhanced objects."""
    temporal_position: int | None = None
    """Temporal Position Identifier (0020,0100) or Index (0020,9128), from 1."""
    echo_number: int | None = None
    echo_time: float | None = None
    """Milliseconds."""
    b_value: float | None = None
    """Diffusion b-value (0018,9087) in s/mm2."""
    contrast: str | None = None
    """Contrast/Bolus Agent (0018,0010); for Enhanced objects, whether agents were administered, and their phase."""
    image_type: str | None = None
    """All values of Image Type (0008,0008) or Frame Type (0008,9007), such as ORIGINAL\\PRIMARY\\M\\NORM."""
    acquisition_number: int | None = None
    trigger_time: float | None = None
    """Milliseconds after the R wave."""
    gradient_direction: Position | None = None
    """Diffusion Gradient Orientation (0018,9089)."""


NO_ATTRIBUTES = StackAttributes()


class SliceGeometry(NamedTuple):
    """One slice: a single-frame object, or one frame of a multi-frame object. Lengths are in mm, in the patient (LPS).

    A field is None if the header has no usable value for it.
    """

    key: int
    """The caller's number of the object, such as the id of its row. Of duplicates, the one with the highest key is
    kept."""
    frame: int = 0
    """Index of the frame within the object, from 0."""
    position: Position | None = None
    """Image Position (Patient): the centre of the first pixel (PS3.3 C.7.6.2.1.1)."""
    orientation: Orientation | None = None
    """Image Orientation (Patient): the direction of the rows, then the direction of the columns."""
    rows: int | None = None
    columns: int | None = None
    pixel_spacing: tuple[float, float] | None = None
    """Distance between rows, then distance between columns."""
    slice_thickness: float | None = None
    instance_number: int | None = None
    sop_instance_uid: str | None = None
    attributes: StackAttributes = NO_ATTRIBUTES

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the database, without the values that are None."""
        values = {name: value for name, value in self._asdict().items() if value is not None}
        own = self.attributes._asdict().items()
        return values | {"attributes": {name: value for name, value in own if value is not None}}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Read the values that `to_json` returned. Raises TypeError for unknown names."""
        attributes = StackAttributes(**_with_tuples(values.get("attributes", {})))
        return cls(**_with_tuples(values) | {"attributes": attributes})


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
