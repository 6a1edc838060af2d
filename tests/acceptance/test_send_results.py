"""`nightread send-results` as people start it, against a real Orthanc."""

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
    """Commands have the real one."""
    return SettableClock(datetime.now(UTC))


@pytest.fixture
def studies(ledger_driver: LedgerDriver, tmp_path: Path, bundle_id: int) -> AnalysedStudies:
    """A site with one study to report, and its state where commands look for it."""
    studies = AnalysedStudies(ledger_driver=ledger_driver, folder=tmp_path, bundle_id=bundle_id)
    studies.add_study(images=2)
    return studies


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One for all tests of this file."""
    with private_orthanc(tmp_path_factory.mktemp("orthanc"), dicomweb=False) as orthanc:
        yield orthanc
        orthanc.process.kill()  # it takes seconds to end by itself


@pytest.fixture
def orthanc(server: Orthanc) -> Iterator[Orthanc]:
    """Left empty."""
    yield server
    for study in server.get("/studies"):
        server.delete(f"/studies/{study}")


@pytest.fixture
def configuration(studies: AnalysedStudies, orthanc: Orthanc) -> tuple[str, ...]:
    """Options that name the site and its destination."""
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


def test_sent_and_listed(orthanc: Orthanc, configuration: tuple[str, ...]) -> None:
    """What was sent is a table for people, and what was delivered is a list for programs."""
    sent = run("send-results", *configuration)

    assert (sent.returncode, orthanc.instances()) == (0, 1), sent.stderr
    assert sent.stdout.splitlines()[1].split() == [STUDY, "pacs", "1", "2", "delivered"]
    assert "Not for diagnosis." in sent.stdout
    listed = CliRunner().invoke(cli, ["deliveries", "--json", *configuration])
    (delivered,) = json.loads(listed.stdout)
    assert (delivered["state"], delivered["attempts"], delivered["destination"]) == ("delivered", 1, "pacs")


def test_killed_between_sending_and_recording(
    studies: AnalysedStudies, orthanc: Orthanc, configuration: tuple[str, ...], tmp_path: Path
) -> None:
    """The store has it, the record does not know: it is sent again as the same instance, and is there once."""
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
    ("options", "said"),
    [
        (("--destination", "elsewhere"), "There is no destination elsewhere in the settings; there is pacs."),
        (("--study", STUDY, "--night", "last"), "--study names one study: leave --night and --since away."),
    ],
)
def test_what_cannot_be(configuration: tuple[str, ...], options: tuple[str, ...], said: str) -> None:
    """Wrong usage, said in one line."""
    with warnings.catch_warnings(), pytest.raises(UsageFault) as fault:
        cli(["send-results", *options, *configuration], standalone_mode=False)

    assert str(fault.value) == said


@pytest.mark.slow
def test_following(studies: AnalysedStudies, orthanc: Orthanc, configuration: tuple[str, ...], tmp_path: Path) -> None:
    """What becomes ready later is sent too, and SIGTERM ends it well."""
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
    """Two megabytes, in seconds."""
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
    """The one of the configuration."""
    return StoreDestination(name="pacs", ae_title=orthanc.ae_title, address="127.0.0.1", port=orthanc.dicom_port)
