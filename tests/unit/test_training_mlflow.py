"""A training is tracked in MLflow: here in a real store of files, read back by MLflow itself."""

import importlib.util
import json
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import skip_reasons

from models.catalogue import SHIPPED
from models.training.checkpoint import Progress
from models.training.mlflow_tracker import MlflowTracker
from models.training.runs import training_runs
from nightread.errors import StopWork, UsageFault

needs_mlflow = pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason=skip_reasons.MLFLOW)
FIGURES = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.6, "val_accuracy": 0.7, "learning_rate": 1e-3, "seconds": 2.0}
REMARKS: list[str] = []


@pytest.fixture
def bundle_folder(tmp_path: Path) -> Path:
    """Copy the phantom bundle, a finished training with all its records."""
    return Path(shutil.copytree(SHIPPED / "phantom", tmp_path / "phantom"))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "checkpoint").mkdir()
    return tmp_path / "checkpoint"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of a store in files, whose address is that of the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "chest films")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    REMARKS.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        import mlflow  # noqa: PLC0415 - an optional extra

        yield mlflow.MlflowClient()


def progress(epochs: int = 0) -> Progress:
    (run,) = training_runs([SHIPPED / "phantom"])
    history = {name: [value] * epochs for name, value in FIGURES.items()}
    plan = {"recipe": dict(run.recipe), "data": dict(run.data)}
    return Progress(plan=plan, history=history, model="phantom@1.1", started_at="2026-11-29T20:00:00+00:00")


def tracker() -> MlflowTracker:
    return MlflowTracker(REMARKS.append)


def only_experiment(client: Any) -> str:
    return str(client.get_experiment_by_name("chest films").experiment_id)


def only_run(client: Any) -> Any:
    (run,) = client.search_runs([only_experiment(client)])
    return run


@needs_mlflow
def test_recipe_curves_figures_and_records_are_tracked(client: Any, checkpoint: Path, bundle_folder: Path) -> None:
    """The run has one value per epoch and figure; pictures of patients and weights stay in the bundle."""
    with tracker() as tracked:
        tracked.begin(progress(), checkpoint)
        for number in (1, 2):
            tracked.epoch(number, 2, FIGURES)
        tracked.end(bundle_folder)

    run = only_run(client)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "phantom@1.1")
    assert (run.data.params["network"], run.data.params["augmentation.flip"]) == ("detector", "True")
    assert [(of.step, of.value) for of in client.get_metric_history(run.info.run_id, "val_loss")] == [
        (1, 0.6),
        (2, 0.6),
    ]
    evaluation = json.loads((bundle_folder / "evaluation.json").read_text())
    assert run.data.metrics["test_accuracy"] == evaluation["evaluation"]["accuracy"]
    assert run.data.metrics["test_macro_roc_auc_low"] == evaluation["evaluation"]["intervals"]["macro_roc_auc"]["low"]
    assert run.data.tags["nightread.digest"] == evaluation["digest"]
    assert run.data.tags["nightread.data"] == "phantom:10000"
    sent = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert {"bundle.json", "training.json", "evaluation.json"} <= sent
    assert not sent & {"evaluation.html", "model.keras", "model.onnx"}


@needs_mlflow
def test_a_resumed_training_continues_its_run(client: Any, checkpoint: Path) -> None:
    """The first attempt was interrupted after its first epoch."""
    with suppress(KeyboardInterrupt), tracker() as tracked:
        tracked.begin(progress(), checkpoint)
        tracked.epoch(1, 2, FIGURES)
        raise KeyboardInterrupt
    assert only_run(client).info.status == "KILLED"
    with tracker() as tracked:
        tracked.begin(progress(epochs=1), checkpoint)
        assert only_run(client).info.status == "RUNNING"
        tracked.epoch(2, 2, FIGURES)
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert [of.step for of in client.get_metric_history(run.info.run_id, "loss")] == [1, 2]


@needs_mlflow
def test_epochs_before_tracking_are_sent_later(client: Any, checkpoint: Path) -> None:
    """The training was started without --tracker, and resumed with it."""
    with tracker() as tracked:
        tracked.begin(progress(epochs=2), checkpoint)
    assert [of.step for of in client.get_metric_history(only_run(client).info.run_id, "loss")] == [1, 2]


@needs_mlflow
def test_epochs_that_were_not_sent_are_sent_when_the_training_is_resumed(client: Any, checkpoint: Path) -> None:
    """MLflow was away during the second epoch, so the rest of the first attempt was not tracked."""
    with suppress(KeyboardInterrupt), tracker() as tracked:
        tracked.begin(progress(), checkpoint)
        tracked.epoch(1, 4, FIGURES)
        raise KeyboardInterrupt
    with tracker() as tracked:
        tracked.begin(progress(epochs=3), checkpoint)
    run = only_run(client)
    assert [of.step for of in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3]
    assert run.data.params["network"] == "detector"


@needs_mlflow
def test_an_error_on_resuming_makes_no_second_run(
    client: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the curves of one training would be in two runs. Of a run that is unknown a new one is made."""
    with tracker() as tracked:
        tracked.begin(progress(), checkpoint)

    def fail(code: str) -> None:
        def update_run(*_: Any, **__: Any) -> None:
            raise mlflow.exceptions.MlflowException("away", getattr(mlflow.exceptions, code))

        monkeypatch.setattr(mlflow.MlflowClient, "update_run", update_run)

    import mlflow  # noqa: PLC0415 - an optional extra

    fail("TEMPORARILY_UNAVAILABLE")
    with pytest.raises(StopWork, match="away"):
        tracker().begin(progress(epochs=1), checkpoint)
    fail("RESOURCE_DOES_NOT_EXIST")
    tracker().begin(progress(epochs=1), checkpoint)
    assert len(client.search_runs([only_experiment(client)])) == 2


@needs_mlflow
def test_a_server_that_never_answers_holds_up_no_training(client: Any) -> None:
    """MLflow itself would try for twenty minutes, in each epoch."""
    tracker()
    from mlflow import environment_variables as waits  # noqa: PLC0415

    attempts = 1 + waits.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()
    assert attempts * waits.MLFLOW_HTTP_REQUEST_TIMEOUT.get() <= 30


@needs_mlflow
def test_mlflow_prints_no_address_between_the_json(client: Any) -> None:
    """It would do so at the end of a run that a server has."""
    tracker()
    from mlflow import environment_variables as printed  # noqa: PLC0415

    assert printed.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.get()


@needs_mlflow
def test_results_that_cannot_be_sent_are_a_remark(client: Any, checkpoint: Path, tmp_path: Path) -> None:
    """The bundle is complete by then."""
    with tracker() as tracked:
        tracked.begin(progress(), checkpoint)
        tracked.end(tmp_path / "moved away")
    (remark,) = REMARKS
    assert remark.startswith("MLflow failed: ")


@needs_mlflow
def test_a_tracker_that_fails_does_not_stop_the_training(client: Any, checkpoint: Path, tmp_path: Path) -> None:
    """The store is gone after the first epoch: there is one remark, and no error."""
    with tracker() as tracked:
        tracked.begin(progress(), checkpoint)
        shutil.rmtree(tmp_path / "store")
        (tmp_path / "store").touch()
        for number in (1, 2):
            tracked.epoch(number, 2, FIGURES)
    (remark,) = REMARKS
    assert remark.startswith("MLflow failed: ")
    assert remark.endswith("The training goes on and is not tracked any further.")


@needs_mlflow
def test_a_tracker_that_cannot_be_used_is_an_error_before_the_training(
    client: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow refuses stores of files unless it is told otherwise; the message says so."""
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "other").as_uri())
    with pytest.raises(StopWork, match=r"MLflow cannot be used: .*Correct MLFLOW_TRACKING_URI"):
        tracker().begin(progress(), checkpoint)


@needs_mlflow
def test_messages_hold_no_password(client: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow names the whole address; no request is sent to this one, because its port is invalid."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://reader:secret@mlflow.invalid:99999")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StopWork, match=r"mlflow\.invalid") as raised:
        tracker().begin(progress(), checkpoint)
    assert "secret" not in str(raised.value)


@needs_mlflow
def test_without_an_address_nothing_is_tracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow would write into the current folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageFault, match="set MLFLOW_TRACKING_URI"):
        tracker()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, because few sites have a server of MLflow."""
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UsageFault, match=r"pip install 'nightread\[mlflow\]'"):
        tracker()
