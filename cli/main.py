"""Define `nightread`, its list of commands, and the exit codes for errors."""

import os
import sys
from typing import ClassVar

import click

from cli.lazy import LazyGroup
from nightread import __version__
from nightread.core_dumps import forbid_core_dumps


class _Commands(LazyGroup):
    commands_in: ClassVar[dict[str, tuple[str, str]]] = {
        "run": ("cli.run", "Analyse all files at PATH and print results and tally."),
        "up": ("cli.up", "Watch folders and analyse new files."),
        "demo": ("cli.demo", "Generate and analyse synthetic radiographs."),
        "status": ("cli.status", "Show what does not work, counts, speed, expected end, sources and workers."),
        "metrics": ("cli.metrics", "Print the metrics for Prometheus, computed from the database."),
        "query": ("cli.query", "List images and their results."),
        "trace": ("cli.trace", "Show everything that happened to an image, in chronological order."),
        "report": (
            "cli.report",
            "Write the night page as one self-contained HTML file, or send it by mail.",
        ),
        "drift": (
            "cli.drift",
            "Show how images and results of a night differ from the reference of each model.",
        ),
        "models": ("cli.models", "Train, evaluate, compare, import and activate models."),
        "labels": (
            "cli.labels",
            "Manage ground truth: labels known afterwards, used by `nightread models evaluate --night`.",
        ),
        "explain": (
            "cli.explain",
            "Show which regions of an image led to a label, by Grad-CAM, or by occlusion if Keras is not available.",
        ),
        "preview": ("cli.preview", "Write the picture of an image, as the API shows it."),
        "rerun": ("cli.rerun", "Analyse images again with other models, and keep their present results."),
        "compare": ("cli.compare", "Compare the results of two models for the same images."),
        "retry": ("cli.retry", "Analyse failed and rejected images again."),
        "cancel": ("cli.cancel", "Cancel waiting images before a worker begins with them."),
        "purge": ("cli.purge", "Remove what nightread holds of a study, a patient, images, or old results."),
        "opt-out": ("cli.opt_out", "List the patients whose images are not analysed, and change the list."),
        "pause": ("cli.pause", "Pause dispatch: form no new batches."),
        "resume": ("cli.pause", "End pauses: form batches again."),
        "drain": ("cli.drain", "Let workers finish their batches and take no more."),
        "parts": ("cli.parts", "List the parts of nightread by host, with their latest heartbeats."),
        "audit": ("cli.audit", "Check the database, and compare it with folders and queue."),
        "doctor": ("cli.doctor", "Check this machine and the settings."),
        "settings": ("cli.settings", "Show the current settings; secrets are masked."),
        "watch": ("cli.services", "Register new files of drop folders."),
        "receive": ("cli.receive", "Receive images from modalities and PACS (DICOM C-STORE)."),
        "receipts": ("cli.receipts", "List what was received by C-STORE, by sender."),
        "poll": ("cli.poll", "Register new images of DICOMweb and Orthanc stores."),
        "send-results": ("cli.send_results", "Send structured reports of studies to PACS and DICOMweb stores."),
        "deliveries": ("cli.deliveries", "List the reports and whether each destination accepted them."),
        "watchdog": (
            "cli.watchdog",
            "Raise alarms: check everything every 30 seconds, and notify the channels of the settings.",
        ),
        "alarms": ("cli.alarms", "List the open alarms, with a link to what to do about each."),
        "result-rules": ("cli.result_rules", "List the result rules of the settings, or try them with --dry-run."),
        "dispatch": ("cli.services", "Form batches and publish them to Redis."),
        "worker": ("cli.services", "Analyse the images of batches."),
        "flower": ("cli.services", "Run Flower, a web page that shows workers and batches."),
        "api": ("cli.api", "Serve the HTTP API: send an image and get its result, read results, control the work."),
        "keys": ("cli.keys", "Add, list and revoke keys of the HTTP API."),
        "db": ("cli.db", "Manage the database schema, and let other programs read the views."),
        "backup": (
            "cli.backup",
            "Write the database and the models of this site into one file, while everything runs.",
        ),
        "restore": ("cli.restore", "Restore a backup, without overwriting anything."),
        "systemd": ("cli.systemd", "Print systemd units for a site without containers."),
    }


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nightread")
def cli() -> None:
    """Analyse medical images overnight and write one outcome per file to an SQL database.

    \b
    Try:   nightread demo
    Then:  nightread up --inbox ~/inbox --model phantom
           nightread status
           nightread query --label nodule
    """  # noqa: D301 - click reads the backspace itself


def main() -> None:
    """Run the command. Exit codes: 0 success, 1 something failed, 2 cannot work, 70 a bug, 130 Ctrl-C."""
    os.umask(0o077)  # files of this process and its children are patient data: only the owner may read them
    forbid_core_dumps()
    try:
        cli(standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - each error gets its message and exit code
        from cli.failures import show_failure  # noqa: PLC0415 - imports SQLAlchemy and Pydantic for their error types

        sys.exit(show_failure(error))
