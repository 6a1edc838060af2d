"""Read dangerous images in a disposable process."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from dicom_files import cine, modified_phantom, phantom
from faults_poison.poison import HANG, HANG_IN_C, HOG, KILL
from pydicom.dataset import FileDataset

from db.ledger import Claimed
from imaging.limits import Limits
from imaging.spec import InputSpec, Intensity
from models.catalogue import find_bundle
from nightread.clock import utc_now
from nightread.errors import ImageError, RetryImage
from nightread.reasons import Reason
from nightread.settings import load_settings
from worker.isolation.trial_read import TrialReader

FAULTS = Path(__file__).parents[1] / "faults_poison"
SPECS = (find_bundle("phantom", ()).spec,)
LIMITS = Limits()
_STUCK_SECONDS = 0.2


class TrialReaderDriver:
    """A TrialReader with a folder for its files and the number of deaths that one test recorded."""

    def __init__(self) -> None:
        self.folder = Path()
        self.deaths = 0
        settings = load_settings(None, image_timeout_seconds=0.5, image_memory_bytes=256 * 1024**2)
        self.trial_reader = TrialReader(settings, LIMITS, record_death=self._count)

    def read(
        self, content: bytes, progress: Callable[[], None] = lambda: None, specs: tuple[InputSpec, ...] = SPECS
    ) -> None:
        """Run a trial read of a file with this content."""
        path = self.folder / "scan.dcm"
        path.write_bytes(content)
        self.trial_reader.read(_claimed(path), specs, progress)

    def _count(self) -> None:
        self.deaths += 1


@pytest.fixture(scope="module")
def shared_driver() -> Iterator[TrialReaderDriver]:
    """Yield a driver whose trial process obeys the poison at the end of a file; this process does not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FAULTS))
        driver = TrialReaderDriver()
        yield driver
        driver.trial_reader.close()


@pytest.fixture
def driver(shared_driver: TrialReaderDriver, tmp_path: Path) -> TrialReaderDriver:
    """Return the driver that all tests share, because a trial process takes half a second to start."""
    shared_driver.folder, shared_driver.deaths = tmp_path, 0
    return shared_driver


@pytest.mark.slow
def test_harmless_images_pass(driver: TrialReaderDriver) -> None:
    """Good scans pass, a cine that takes longer than the limit of one frame passes, and files to be rejected pass."""
    frames = []
    for content in (phantom(1), b"not a scan", b"", phantom(2)[:-100]):
        driver.read(content)
    driver.read(cine(3, frames=20), lambda: frames.append(1))
    assert (len(frames), driver.deaths) == (21, 0)


def test_a_frame_that_one_model_refuses_does_not_end_the_trial(driver: TrialReaderDriver) -> None:
    """The worker decodes the later frames for the other models, so they must be tried too."""

    def change(dataset: FileDataset) -> None:
        dataset.NumberOfFrames, dataset.PixelData, dataset.WindowWidth = 3, dataset.PixelData * 3, "0"

    strict = replace(SPECS[0], intensity=Intensity(kind="voi", unusable="refuse"))
    steps: list[int] = []
    driver.read(modified_phantom(1, change), lambda: steps.append(1), (strict, *SPECS))
    assert len(steps) == 4  # the file and three frames


def test_a_missing_file_passes(driver: TrialReaderDriver, tmp_path: Path) -> None:
    """The worker process finds the reason when it reads the file afterwards."""
    path = tmp_path / "gone.dcm"
    path.write_bytes(phantom(1))
    image = _claimed(path)
    path.unlink()
    driver.trial_reader.read(image, SPECS, lambda: None)
    assert driver.deaths == 0


@pytest.mark.parametrize(
    ("deed", "reason", "deaths"),
    [
        (KILL, Reason.KILLED_WORKER, 3),
        (HANG, Reason.TIMEOUT, 1),
        (HANG_IN_C, Reason.TIMEOUT, 1),
        (HOG, Reason.OUT_OF_MEMORY, 0),
    ],
    ids=["kill", "hang", "hang in C", "hog"],
)
def test_poison_ends_only_its_reader(driver: TrialReaderDriver, deed: bytes, reason: Reason, deaths: int) -> None:
    """The image gets its reason, the death is recorded, and the next image is read as usual."""
    with pytest.raises(ImageError) as caught:
        driver.read(phantom(1) + deed)
    assert caught.value.reason is reason
    assert isinstance(caught.value, RetryImage) == (reason is Reason.OUT_OF_MEMORY)
    assert driver.deaths == deaths
    driver.read(phantom(2))


@pytest.mark.slow
def test_a_killed_trial_process_is_started_again(driver: TrialReaderDriver) -> None:
    """A person or the out-of-memory killer may have killed it."""
    driver.read(phantom(1))
    killed = _trial_processes(os.getpid())
    for process in killed:
        with suppress(psutil.NoSuchProcess):  # it may have ended with its parent
            process.kill()
        process.wait()
    driver.read(phantom(2))
    assert killed
    assert {trial_process.pid for trial_process in _trial_processes(os.getpid())}.isdisjoint(
        trial_process.pid for trial_process in killed
    )
    assert driver.deaths == 0


def test_nothing_outlives_a_worker_that_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a reader that is stuck in C code is killed."""
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    with _worker_that_tries(tmp_path, phantom(1) + HANG_IN_C) as pid:
        _wait_until(
            lambda: any(trial_process.cpu_times().user > _STUCK_SECONDS for trial_process in _trial_processes(pid)[1:])
        )
        processes = _trial_processes(pid)
        os.kill(pid, signal.SIGKILL)
        _wait_until(lambda: not any(map(_is_alive, processes)))
    assert len(processes) > 1


@contextmanager
def _worker_that_tries(folder: Path, content: bytes) -> Iterator[int]:
    path = folder / "scan.dcm"
    path.write_bytes(content)
    if (pid := os.fork()) == 0:
        try:
            TrialReader(load_settings(None), LIMITS, record_death=lambda: None).read(
                _claimed(path), SPECS, lambda: None
            )
        finally:
            os._exit(1)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "not within 30 s"
        time.sleep(0.05)


def _is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _trial_processes(pid: int) -> list[psutil.Process]:
    """Return the trial process of this process, and its reader."""
    return [process for process in psutil.Process(pid).children(recursive=True) if _is_trial_process(process)]


def _is_trial_process(process: psutil.Process) -> bool:
    try:
        return "worker.isolation.trial_process" in process.cmdline()
    except psutil.NoSuchProcess:  # it has ended, or it is a zombie
        return False


def _claimed(path: Path) -> Claimed:
    status = path.stat()
    return Claimed(
        work_id=1,
        instance_id=1,
        source="inbox",
        root=str(path.parent),
        uri=path.name,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        attempts=1,
        alone=False,
        arrived_at=utc_now(),
        tried_since=utc_now(),
        marked=False,
    )


class BatchWithdrawnError(Exception):
    """The batch was given to another process."""


def test_a_late_response_is_ignored(driver: TrialReaderDriver) -> None:
    """The response to an abandoned request must not count for the next image, which is poison."""

    def give_up() -> None:
        raise BatchWithdrawnError

    with pytest.raises(BatchWithdrawnError):
        driver.read(cine(1, 8), progress=give_up)
    with pytest.raises(ImageError, match="killed_worker"):
        driver.read(phantom(2) + KILL)


def test_a_reader_that_is_killed_while_idle_affects_no_image(driver: TrialReaderDriver) -> None:
    """A new reader is forked, and each response belongs to its own request."""
    driver.read(phantom(1))
    (trial_process,) = filter(_is_trial_process, psutil.Process().children())
    (reader,) = trial_process.children()
    reader.kill()
    driver.read(phantom(2))
    with pytest.raises(ImageError, match="killed_worker"):
        driver.read(phantom(3) + KILL)
    driver.read(phantom(4))
    assert driver.deaths == 3


def test_a_trial_process_that_does_not_start_does_not_fail_the_image(
    driver: TrialReaderDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is retried later, and the trial process is closed."""
    driver.trial_reader.close()
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RetryImage, match="internal_error"):
        driver.read(phantom(1))
    assert driver.deaths == 0
