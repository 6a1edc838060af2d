"""A process that makes pictures ends when it is not used, and is started again when it is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from compose_processes import wait_until
from dicom_files import phantom
from picture_requests import request_of

from api.pictures.picture import NoPictureError, PictureRequest, ProcessSettings
from api.pictures.process import PictureProcess
from imaging.limits import Limits
from nightread.content_digest import content_of

RENDER = "api.pictures.render_process"


@pytest.fixture
def request_for_film(tmp_path: Path) -> PictureRequest:
    """A request for the picture of a film."""
    (tmp_path / "a.dcm").write_bytes(phantom(1))
    return request_of(1, root=str(tmp_path), content=content_of(phantom(1)))


def process_of(module: str = RENDER, **settings: float) -> PictureProcess:
    """Return a process that is not yet started."""
    values = {"seconds": 20.0, "idle_seconds": 20.0, **settings}
    return PictureProcess(module, ProcessSettings(limits=Limits(), memory_bytes=2**32, **values))


@pytest.fixture
def idle() -> Iterator[PictureProcess]:
    """A process that ends when it was not used for a moment."""
    process = process_of(idle_seconds=0.05)
    yield process
    process.close()


def test_an_unused_process_ends_and_is_started_again(idle: PictureProcess, request_for_film: PictureRequest) -> None:
    """The memory of the API host is free at night."""
    assert not idle.is_running
    first = idle.ask(request_for_film)
    wait_until(lambda: not idle.is_running, seconds=20, what="the process ended")
    assert idle.ask(request_for_film) == first


def test_bytes_of_a_store_are_sent_with_the_request(request_for_film: PictureRequest) -> None:
    """The process has no login, so it cannot ask a store."""
    process = process_of()
    try:
        from_file = process.ask(request_for_film)
        assert process.ask(request_of(1, in_store=True), phantom(1)) == from_file
    finally:
        process.close()


def test_a_closed_process_answers_nobody(request_for_film: PictureRequest) -> None:
    """It is not started again while the API is being stopped."""
    process = process_of()
    process.close()
    with pytest.raises(NoPictureError, match="being stopped"):
        process.ask(request_for_film)


def test_a_process_that_cannot_start_is_reported(
    request_for_film: PictureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is tried three times; its error is on the standard error of the API."""
    with pytest.raises(NoPictureError, match="does not start"):
        process_of("api.pictures.no_such_module").ask(request_for_film)
    assert capfd.readouterr().err.count("No module named") == 3
