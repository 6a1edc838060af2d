"""Send recipe, learning curves and figures of a training to MLflow."""

import json
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from models.bundle import CARD_FILE, TRAINING_FILE, TRAINING_PAGE_FILE
from models.evaluation.names import JSON_FILE
from models.training.checkpoint import Progress
from models.training.learning_curves import CURVES_FILE
from models.training.listener import Listener
from models.training.runs import FINISHED, TrainingRun, flat_settings, training_runs
from nightread.errors import StopWork, UsageFault
from nightread.hardware import configure_mlflow
from nightread.plain_text import visible

_STATE_FILE = "mlflow.json"
_EXPERIMENT = "nightread"
_ARTIFACTS = (CARD_FILE, TRAINING_FILE, TRAINING_PAGE_FILE, JSON_FILE, CURVES_FILE)
"""Files of the bundle that MLflow gets: no weights, and not evaluation.html, which shows images of patients."""
_NO_SUCH_RUN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""The error codes of MLflow for a run that the server does not know, and for a run that was deleted."""
_MOST_CHARACTERS = 300
_LOGIN = re.compile(r"//[^/@\s]*@")


class MlflowTracker(Listener):
    """A context manager that tracks one training; a resumed training continues its run of MLflow.

    MLflow's own variables name the server (MLFLOW_TRACKING_URI) and the experiment (MLFLOW_EXPERIMENT_NAME, by default
    `nightread`). If MLflow fails during the training, a remark says so, and the training continues without tracking.
    """

    def __init__(self, remark: Callable[[str], object]) -> None:
        """Import MLflow. Raises UsageFault if it is not installed, or if no address is set."""
        configure_mlflow()
        try:
            import mlflow  # noqa: PLC0415 - an optional extra, and slow to import
        except ImportError as error:
            raise UsageFault("--tracker mlflow needs MLflow: pip install 'nightread[mlflow]'.") from error
        self._mlflow: Any = mlflow
        if not self._mlflow.is_tracking_uri_set():
            raise UsageFault(
                "--tracker mlflow needs the address of MLflow: set MLFLOW_TRACKING_URI, for example to "
                "http://127.0.0.1:5000."
            )
        self._remark = remark
        self._client: Any = None
        """The client of MLflow; None before the training begins, and after an error."""
        self._run_id = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "FINISHED" if kind is None else "KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED"
        self._try(lambda: self._client.set_terminated(self._run_id, status=status))

    def begin(self, progress: Progress, folder: Path) -> None:
        """Create a run of MLflow, or continue the run of a resumed training. Raises StopWork if MLflow fails."""
        try:
            self._client = self._mlflow.MlflowClient()
            self._run_id = self._continued(folder / _STATE_FILE) or self._created(progress, folder / _STATE_FILE)
            self._log_missing(progress)
        except Exception as error:
            self._client = None
            raise StopWork(
                f"MLflow cannot be used: {_reason(error)}. Correct MLFLOW_TRACKING_URI or start the server; without "
                "--tracker the training is not tracked."
            ) from error

    def epoch(self, number: int, total: int, figures: Mapping[str, float]) -> None:  # noqa: ARG002
        """Send the figures of an epoch."""
        self._try(lambda: self._log(figures, step=number))

    def end(self, folder: Path) -> None:
        """Send the figures of the test part and the records of the bundle."""
        self._try(lambda: self._log_results(folder))
        for path in (folder / name for name in _ARTIFACTS):
            if path.is_file():
                self._try(partial(self._send, path))

    def _continued(self, file: Path) -> str | None:
        """Return the id of the run of an interrupted training; None if there is no such run in MLflow."""
        if not file.is_file():
            return None
        run_id = str(json.loads(file.read_text("utf-8"))["run_id"])
        try:
            self._client.update_run(run_id, status="RUNNING")
        except self._mlflow.exceptions.MlflowException as error:
            if error.error_code not in _NO_SUCH_RUN:
                raise
            return None
        return run_id

    def _created(self, progress: Progress, file: Path) -> str:
        run = self._client.create_run(self._experiment_id(), run_name=progress.model, tags=_tags(progress))
        draft = file.with_suffix(".new")  # a training that is killed here must not leave half a file
        draft.write_text(json.dumps({"run_id": str(run.info.run_id)}), encoding="utf-8")
        draft.replace(file)
        return str(run.info.run_id)

    def _log_missing(self, progress: Progress) -> None:
        """Send the recipe, and the epochs that the run lacks because they were not tracked or MLflow had failed."""
        settings = flat_settings(progress.plan["recipe"]).items()
        params = [self._mlflow.entities.Param(name, str(value)) for name, value in settings if value is not None]
        self._client.log_batch(self._run_id, params=params)
        sent = {one.step for one in self._client.get_metric_history(self._run_id, "loss")} if progress.epochs else set()
        for number in range(1, progress.epochs + 1):
            if number not in sent:
                self._log({name: values[number - 1] for name, values in progress.history.items()}, step=number)

    def _log_results(self, folder: Path) -> None:
        run = next(run for run in training_runs([folder]) if run.folder == folder.resolve() and run.state == FINISHED)
        self._log(_test_figures(run), step=run.epochs)
        self._client.set_tag(self._run_id, "nightread.digest", run.digest)

    def _experiment_id(self) -> str:
        name = self._mlflow.environment_variables.MLFLOW_EXPERIMENT_NAME.get() or _EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _log(self, figures: Mapping[str, float], *, step: int) -> None:
        now = int(time.time() * 1000)
        metric = self._mlflow.entities.Metric
        metrics = [metric(name, value, now, step) for name, value in figures.items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def _send(self, path: Path) -> None:
        self._client.log_artifact(self._run_id, str(path))

    def _try(self, action: Callable[[], object]) -> None:
        """Call MLflow. After an error, show one remark and stop tracking."""
        if self._client is None:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - whatever the tracker does, the training goes on
            self._client = None
            self._remark(f"MLflow failed: {_reason(error)}. The training goes on and is not tracked any further.")


def _tags(progress: Progress) -> dict[str, str]:
    data = progress.plan["data"]
    return {
        "nightread.model": progress.model,
        "nightread.data": str(data["reference"]),
        "nightread.split": str(data["split"]),
        "nightread.labels": ", ".join(map(str, data["labels"])),
    }


def _test_figures(run: TrainingRun) -> dict[str, float]:
    """Return the figures of the test part and the ends of their intervals, as far as they are defined."""
    named = {f"test_{name}": value for name, value in run.figures.items()}
    lows = {f"test_{name}_low": low for name, (low, _) in run.intervals.items()}
    highs = {f"test_{name}_high": high for name, (_, high) in run.intervals.items()}
    return {name: value for name, value in (named | lows | highs).items() if value is not None}


def _reason(error: Exception) -> str:
    """Return class and first line of an error, without the password that an address may hold."""
    line = _LOGIN.sub("//", str(error).partition("\n")[0])
    text = visible(line)[:_MOST_CHARACTERS].rstrip(". ")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
