"""Build the content items that all structured reports share: observers, tracking identifiers, algorithms."""

from collections.abc import Sequence

from highdicom.sr import (
    AlgorithmIdentification,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ObservationContext,
    ObserverContext,
    TrackingIdentifier,
)

from db.queries import ReportableResult, ReportedBundle
from delivery import codes
from imaging.own_results import MAKER
from nightread import __version__
from nightread.uids import stable_uid


def device_uid(bundle: ReportedBundle) -> str:
    """Return the UID of the observer, which is the same for all results of one bundle."""
    return stable_uid("device", bundle.digest)


def observers(results: Sequence[ReportableResult]) -> ContentSequence:
    """Return one device per bundle (TID 1002). Another release of nightread with the same bundle is the same device."""
    context = ObservationContext()
    for bundle in dict.fromkeys(result.bundle for result in results):
        attributes = DeviceObserverIdentifyingAttributes(
            uid=device_uid(bundle),
            name=f"{bundle.name}@{bundle.version}",
            manufacturer_name=MAKER,
            model_name=f"{MAKER} {__version__}",
            serial_number=bundle.digest,
        )
        context.extend(ObserverContext(observer_type=codes.DEVICE, observer_identifying_attributes=attributes))
    return context


def tracking(result: ReportableResult, identifier: str, *names: str) -> TrackingIdentifier:
    """Return the identifier of a finding. Its UID is derived from image or stack, bundle and `names`.

    The UID for a stack stays the same even if a revision refers to other slices of the stack.
    """
    about: tuple[str, ...] = (result.sop_instance_uid,)
    if result.series is not None and not names:
        about = (result.series_instance_uid, f"stack {result.series.stack}")
    uid = stable_uid("tracking", *about, result.bundle.digest, *names)
    return TrackingIdentifier(uid=uid, identifier=identifier)


def algorithm(bundle: ReportedBundle) -> AlgorithmIdentification:
    """Return name, version and digest of a bundle (TID 4019)."""
    return AlgorithmIdentification(
        name=bundle.name,
        version=bundle.version,
        parameters=[f"bundle sha256:{bundle.digest}"],
        family=codes.ARTIFICIAL_INTELLIGENCE,
    )
