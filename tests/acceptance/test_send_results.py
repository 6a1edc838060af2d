"""`nightread send-results` as a process, with a real Orthanc."""

import io
import json
import signal
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import highdicom
import pytest
from analysed_studies import STUDY, AnalysedStudies, states
from click.testing import CliRunner
from dicom_peers import Orthanc, dcmtk, private_orthanc
from ledger_driver import LedgerDriver, SettableClock
from nightread_process import run, started, wait_until
from pydicom.sr.codedict import codes

from cli.main import cli
from db import queries
from nightread.errors import UsageFault
from nightread.sources import StoreDestination

pytestmark = [pytest.mark.servers, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]
FAULTS = Path(__file__).parents[1] / "faults"
IMAGES = 1000


@pytest.fixture
def clock() -> SettableClock:
    """Return a clock with the real time, because the commands use it too."""
    return SettableClock(datetime.now(UTC))


@pytest.fixture
def studies(ledger_driver: LedgerDriver, tmp_path: Path, bundle_id: int) -> AnalysedStudies:
    """Return a site with one study to report, with its state in `tmp_path`."""
    studies = AnalysedStudies(ledger_driver=ledger_driver, folder=tmp_path, bundle_id=bundle_id)
    studies.add_study(images=2)
    return studies


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Start one Orthanc for all tests of this file."""
    with private_orthanc(tmp_path_factory.mktemp("orthanc"), dicomweb=False) as orthanc:
        yield orthanc
        orthanc.process.kill()  # it would take seconds to stop


@pytest.fixture
def orthanc(server: Orthanc) -> Iterator[Orthanc]:
    """Yield the Orthanc, and delete its studies afterwards."""
    yield server
    for study in server.get("/studies"):
        server.delete(f"/studies/{study}")


@pytest.fixture
def configuration(studies: AnalysedStudies, orthanc: Orthanc) -> tuple[str, ...]:
    """Return the options that name the site and its destination."""
    path = studies.folder / "nightread.toml"
    path.write_text(
        f"""
        deliver_after_seconds = 0
        [[destinations]]
        kind = "store"
        name = "pacs"
        ae_title = "{orthanc.ae_title}"
        address = "127.0.0.1"
        port = {orthanc.dicom_port}
        """
    )
    return "--config", str(path), "--state", str(studies.folder)


def test_reports_are_sent_and_listed(orthanc: Orthanc, configuration: tuple[str, ...]) -> None:
    """`send-results` prints a table, and `deliveries --json` lists the report."""
    sent = run("send-results", *configuration)

    assert (sent.returncode, orthanc.instances()) == (0, 1), sent.stderr
    assert sent.stdout.splitlines()[1].split() == [STUDY, "pacs", "1", "2", "delivered"]
    assert "Not for diagnosis." in sent.stdout
    listed = CliRunner().invoke(cli, ["deliveries", "--json", *configuration])
    (delivered,) = json.loads(listed.stdout)
    assert (delivered["state"], delivered["attempts"], delivered["destination"]) == ("delivered", 1, "pacs")


def test_a_kill_between_sending_and_recording(
    studies: AnalysedStudies, orthanc: Orthanc, configuration: tuple[str, ...], tmp_path: Path
) -> None:
    """The report is in the store but not recorded: it is sent again as the same instance, and exists once."""
    armed = tmp_path / "armed"
    armed.mkdir()
    (armed / "db.ledger:end_delivery:before").touch()

    killed = run("send-results", *configuration, pythonpath=FAULTS, FAULTS_DIR=armed)

    assert killed.returncode == -signal.SIGKILL
    assert orthanc.instances() == 1
    (before,) = queries.deliveries(studies.ledger_driver.database)
    assert (before.state, before.reason) == ("waiting", "sending")
    studies.ledger_driver.clock.advance(minutes=10)
    assert states(studies.send(destination(orthanc))) == [("delivered", None)]
    (after,) = queries.deliveries(studies.ledger_driver.database)
    (instance,) = orthanc.get("/instances?expand")
    assert instance["MainDicomTags"]["SOPInstanceUID"] == before.sop_instance_uid == after.sop_instance_uid
    assert after.attempts == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--destination", "elsewhere"), "The settings have no destination elsewhere; known destinations: pacs."),
        (("--study", STUDY, "--night", "last"), "--study selects one study: omit --night and --since."),
    ],
)
def test_wrong_usage(configuration: tuple[str, ...], options: tuple[str, ...], message: str) -> None:
    """Wrong usage is reported in one line."""
    with warnings.catch_warnings(), pytest.raises(UsageFault) as fault:
        cli(["send-results", *options, *configuration], standalone_mode=False)

    assert str(fault.value) == message


@pytest.mark.slow
def test_follow_sends_new_studies(
    studies: AnalysedStudies, orthanc: Orthanc, configuration: tuple[str, ...], tmp_path: Path
) -> None:
    """A study that becomes ready later is sent too, and SIGTERM stops the command with exit code 0."""
    with started("send-results", "--follow", *configuration, output=tmp_path / "log") as following:
        wait_until(lambda: orthanc.instances() == 1, seconds=30, what=(tmp_path / "log").read_text)
        studies.ledger_driver.clock.now = datetime.now(UTC)
        studies.add_study(study=f"{STUDY}7")
        wait_until(lambda: orthanc.instances() == 2, seconds=30, what=(tmp_path / "log").read_text)
        following.terminate()
        assert following.wait(10) == 0
    assert "report delivered delivery=1 destination=pacs images=2" in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_a_study_of_a_thousand_images(studies: AnalysedStudies, orthanc: Orthanc, tmp_path: Path) -> None:
    """The report has less than 3,000 bytes per image and all probabilities, and dsrdump reads it."""
    studies.add_study(images=IMAGES - 2)
    began = time.monotonic()

    (results,) = studies.send(destination(orthanc))

    seconds = time.monotonic() - began
    assert (results.state, results.images) == ("delivered", IMAGES)
    (instance,) = orthanc.get("/instances")
    data = orthanc.session.get(f"{orthanc.url}/instances/{instance}/file", timeout=30).content
    print(f"{IMAGES} images: {seconds:.1f} s, {len(data) / 1e6:.1f} MB")
    assert len(data) < 3000 * IMAGES
    groups = highdicom.sr.srread(io.BytesIO(data)).content.get_image_measurement_groups()
    assert [group.get_measurements(codes.DCM.Probability)[0].value for group in groups] == [0.875] * IMAGES
    file = tmp_path / "report.dcm"
    file.write_bytes(data)
    shown = dcmtk("dsrdump", file)
    assert (shown.returncode, shown.stderr) == (0, "")


def destination(orthanc: Orthanc) -> StoreDestination:
    """Return the destination of the configuration."""
    return StoreDestination(name="pacs", ae_title=orthanc.ae_title, address="127.0.0.1", port=orthanc.dicom_port)
