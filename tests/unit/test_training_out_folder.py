"""The folder of a training is reserved: one training at a time, and nothing in it is replaced by accident."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.training.out_folder import LOCK_FILE, is_reserved, require_free, require_no_training, reserved
from nightread.errors import UsageFault

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from models.training.out_folder import reserved
with reserved(Path(sys.argv[1])):
    print("reserved", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Reserve the folder in another process."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "reserved\n"
        yield process
        process.kill()


def test_a_second_training_into_the_folder_is_refused(tmp_path: Path) -> None:
    """The sentence names the folder and what to do; the first training keeps its lock."""
    sentence = "another training writes into .*out: wait for it or stop it, or choose another folder with --out"
    with other_process(tmp_path / "out"):
        with pytest.raises(UsageFault, match=sentence), reserved(tmp_path / "out"):
            pass
        with pytest.raises(UsageFault, match=sentence):
            require_no_training(tmp_path / "out")
        assert is_reserved(tmp_path / "out")


def test_a_killed_training_frees_the_folder(tmp_path: Path) -> None:
    """Its lock file stays and is taken over."""
    with other_process(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        assert (tmp_path / LOCK_FILE).exists()
        assert not is_reserved(tmp_path)
        require_no_training(tmp_path)
        with reserved(tmp_path):
            assert is_reserved(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_fails_leaves_no_lock_file(tmp_path: Path) -> None:
    """The folder can be used again at once."""
    with pytest.raises(KeyboardInterrupt), reserved(tmp_path / "deep" / "out"):
        raise KeyboardInterrupt
    assert not (tmp_path / "deep" / "out" / LOCK_FILE).exists()
    with reserved(tmp_path / "deep" / "out"):
        pass


def test_a_lock_file_that_was_deleted_before_it_was_locked_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise two trainings would each hold a file of the same name."""
    from models.training import out_folder  # noqa: PLC0415 - the module whose import is replaced

    real, calls = out_folder.lock_file, []

    def delete_the_first(path: Path) -> object:
        lock = real(path)
        calls.append(path)
        if len(calls) == 1:
            path.unlink()
        return lock

    monkeypatch.setattr(out_folder, "lock_file", delete_the_first)
    with reserved(tmp_path):
        assert len(calls) == 2
        assert (tmp_path / LOCK_FILE).exists()


def test_a_lock_file_that_may_not_be_opened_is_not_a_training(tmp_path: Path) -> None:
    """A symbolic link is not followed."""
    (tmp_path / LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").touch()
    assert not is_reserved(tmp_path)


@pytest.mark.parametrize(
    ("file", "resume", "sentence"),
    [
        ("bundle.json", False, "holds a bundle: choose another folder with --out, or replace it with --overwrite"),
        ("checkpoint/state.json", False, "holds an unfinished training: continue it with --resume, or discard it"),
        ("bundle.json", True, "there is no unfinished training in .*: omit --resume"),
    ],
)
def test_what_the_folder_holds_is_replaced_only_on_request(
    tmp_path: Path, file: str, resume: bool, sentence: str
) -> None:
    """Bundles may be in use, and an unfinished training may be worth hours."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("{}")
    with pytest.raises(UsageFault, match=sentence):
        require_free(tmp_path, resume=resume, overwrite=False)
    if not resume:
        require_free(tmp_path, resume=False, overwrite=True)
