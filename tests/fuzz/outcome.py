"""Read and prepare one file as a worker does, and return its outcome: decoded, or refused with a reason."""

from imaging.limits import DEFAULT_LIMITS, Limits
from imaging.patient import PatientHasher
from imaging.prepare import prepare
from imaging.read import read
from imaging.spec import InputSpec, Intensity
from imaging.traits import read_traits
from nightread.errors import ImageError

DECODED = "decoded"
SPECS = (
    InputSpec(height=28, width=28, channels=1, intensity=Intensity(kind="voi")),
    InputSpec(height=32, width=24, channels=3, intensity=Intensity(kind="full"), aspect="pad", interpolation="linear"),
    InputSpec(height=28, width=28, channels=1, intensity=Intensity(kind="percentile", low=1, high=99), aspect="crop"),
    InputSpec(height=28, width=28, channels=1, intensity=Intensity(kind="window", low=-160, high=240)),
)
_ROUNDING = 0.002
_PATIENT = PatientHasher(b"fuzz")


class OutOfRangeError(Exception):
    """A prepared frame contains infinity, NaN, or values outside of [0, 1]."""


def outcome_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    """Return `decoded` or the reason. Any exception that this function raises is a finding."""
    try:
        dicom_image = read(data, limits=limits, patient=_PATIENT, accept_raster=True)
        read_traits(dicom_image, "fuzz")
        for frame in dicom_image.frames():
            for spec in SPECS:
                prepared = prepare(frame, spec)
                if not (prepared.min() >= -_ROUNDING and prepared.max() <= 1 + _ROUNDING):
                    raise OutOfRangeError(spec.intensity.kind)
    except ImageError as image_error:
        return str(image_error.reason)
    return DECODED
