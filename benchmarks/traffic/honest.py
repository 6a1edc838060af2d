"""Send C-ECHO and C-STORE requests as honest callers of a receiver, and measure how long the answers take."""

import ssl
import threading
import time
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

ADDRESS, TITLE = "127.0.0.2", "HONEST"
_ROOT = "1.2.826.0.1.3680043.8.498.13"
_IMAGES = 10
"""Images per association."""
_ECHO_PAUSE, _IMAGE_PAUSE, _TIMEOUT = 0.5, 0.3, 30.0


@dataclass(kw_only=True)
class Answers:
    """Seconds until each answer, the requests without success, and the UIDs of the images that were acknowledged."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return the time within which this share of all requests was answered. A failed request counts as infinite."""
        times = sorted(self.seconds) + [float("inf")] * len(self.failures)
        return times[min(int(share * len(times)), len(times) - 1)] if times else float("inf")


def call(port: int, tls_port: int | None, certificate: Path | None, stop: threading.Event) -> Answers:
    """Send requests from several threads until `stop` is set."""
    answers = Answers()
    tls = _trust(certificate) if certificate else None
    targets = [(_echo, port, None, number) for number in range(2)] + [(_store, port, None, number) for number in (2, 3)]
    if tls_port and tls:
        targets += [(_echo, tls_port, tls, 4)]
    threads = [threading.Thread(target=_repeat, args=(answers, stop, *target), daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _repeat(answers: Answers, stop: threading.Event, act: object, port: int, tls: object, number: int) -> None:
    at = 0
    while not stop.is_set():
        at += 1
        act(answers, stop, port, tls, f"{number}.{at}")  # type: ignore[operator]


def _echo(answers: Answers, stop: threading.Event, port: int, tls: ssl.SSLContext | None, _number: str) -> None:
    """Open an association, send C-ECHO and release. The time of all three steps together counts."""
    began = time.monotonic()
    association = _associate(port, tls, str(Verification))
    if not association.is_established:
        answers.failures.append("an association for C-ECHO was not accepted")
    elif association.send_c_echo().get("Status") != 0:
        answers.failures.append("C-ECHO was not answered")
    else:
        association.release()
        answers.seconds.append(time.monotonic() - began)
    stop.wait(_ECHO_PAUSE)


def _store(answers: Answers, stop: threading.Event, port: int, tls: ssl.SSLContext | None, number: str) -> None:
    """Open an association and send ten images. The times of the association and of each image count separately."""
    image = dcmread(BytesIO(_image()))
    began = time.monotonic()
    association = _associate(port, tls, str(image.SOPClassUID))
    if not association.is_established:
        answers.failures.append("an association for C-STORE was not accepted")
        stop.wait(_IMAGE_PAUSE)
        return
    answers.seconds.append(time.monotonic() - began)
    for at in range(_IMAGES):
        if stop.is_set() or not association.is_established:
            break
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{_ROOT}.{number}.{at}"
        began = time.monotonic()
        if association.send_c_store(image).get("Status") == 0:
            answers.seconds.append(time.monotonic() - began)
            answers.acknowledged.append(str(image.SOPInstanceUID))
        else:
            answers.failures.append("C-STORE was not answered with success")
        stop.wait(_IMAGE_PAUSE)
    if association.is_established:
        association.release()


def _associate(port: int, tls: ssl.SSLContext | None, abstract_syntax: str) -> Association:
    entity = AE(TITLE)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _TIMEOUT
    entity.add_requested_context(abstract_syntax, ExplicitVRLittleEndian)
    options = {"tls_args": (tls, None)} if tls else {}
    return entity.associate(
        "127.0.0.1",
        port,
        ae_title="NIGHTREAD",
        bind_address=(ADDRESS, 0),
        **options,  # type: ignore[arg-type]
    )


def _trust(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    return context


def _image() -> bytes:
    from models.phantoms.dicom import PhantomStyle, phantom_file

    return phantom_file(seed=1, index=1, style=PhantomStyle(size=64, bits=12, syntax="explicit"))[0]
