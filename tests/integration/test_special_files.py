"""Special and sparse files under the name of a scan are refused without being read."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import skip_reasons
from fuzz.bombs import MiB
from fuzz.cost import measured

from nightread.errors import RejectImage
from nightread.reasons import Reason
from worker.fetching.files import fetch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=skip_reasons.LINUX)

GiB = 1024 * MiB


@dataclass(frozen=True, kw_only=True)
class SpecialFile:
    """A registered directory entry."""

    root: str
    uri: str = "scan.dcm"
    source: str = "inbox"
    size: int = 0
    mtime_ns: int = 0
    marked: bool = False


def test_a_device_with_the_name_of_a_scan_is_not_read(tmp_path: Path) -> None:
    """Reading /dev/zero would never end."""
    try:
        os.mknod(tmp_path / "scan.dcm", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip(skip_reasons.DEVICES)
    with pytest.raises(RejectImage) as refusal:
        fetch(SpecialFile(root=str(tmp_path)), roots={}, max_bytes=GiB)
    assert refusal.value.reason is Reason.NOT_A_FILE


def test_a_sparse_file_is_rejected_by_its_size(tmp_path: Path) -> None:
    """The file has a terabyte of holes and takes no disk space."""
    with (tmp_path / "scan.dcm").open("wb") as file:
        file.truncate(1024 * GiB)

    def refused() -> Reason:
        with pytest.raises(RejectImage) as refusal:
            fetch(SpecialFile(root=str(tmp_path)), roots={}, max_bytes=2 * GiB)
        return refusal.value.reason

    reason, cost = measured(refused)
    assert reason is Reason.TOO_LARGE
    assert cost.grown_bytes < MiB
