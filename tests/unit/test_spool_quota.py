"""A sender may hold a share of the spool, counted while its files are written."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from producer.spool.quota import FileCharge, FreeSpace, OverQuotaError, SpoolQuota, disk_space, sender_of
from producer.spool.spool import Spool

KIB, MIB = 1024, 1024**2


class Disk:
    """A disk that fills with what the senders of its quota write; others may take some of it too."""

    def __init__(self, *, mib: int, limit_bytes: int | None = None) -> None:
        self.size, self.taken = mib * MIB, 0
        self.quota = SpoolQuota(self.space, limit_bytes=limit_bytes, clock=lambda: 0.0)

    def space(self) -> FreeSpace:
        """Return what is left."""
        return FreeSpace(self.size - self.taken, 4 * KIB)

    def fill(self, address: str, *, file_bytes: int) -> int:
        """Write files from this address until one is refused; return the bytes that count for it."""
        account = self.quota.account(address)
        with suppress(OverQuotaError):
            while True:
                charge = account.begin()
                try:
                    charge.grow(file_bytes)
                except OverQuotaError:
                    charge.release()
                    raise
                charge.complete()
        return self.quota.held_by(account.sender)


def test_one_sender_gets_three_quarters() -> None:
    """It holds three times the free space then."""
    assert Disk(mib=64).fill("10.1.2.3", file_bytes=508 * KIB) == 48 * MIB


def test_each_greedy_sender_leaves_space_for_another() -> None:
    """Each takes three quarters of what is left, and gets no more later; so the next sender is always served."""
    disk = Disk(mib=64)
    addresses = ["10.1.2.1", "10.1.2.2", "10.1.2.3"]
    held = [disk.fill(address, file_bytes=4 * KIB) for address in addresses]
    assert [round(one / MIB) for one in held] == [48, 12, 3]
    assert [disk.fill(address, file_bytes=4 * KIB) for address in addresses] == held
    assert disk.fill("10.9.9.9", file_bytes=4 * KIB) > 0.7 * MIB


def test_small_files_count_for_a_block_or_an_inode() -> None:
    """A thousand files of one byte take 4 MiB of the disk, or more if it has few inodes."""
    account = Disk(mib=64).quota.account("10.1.2.3")
    for _ in range(1000):
        account.begin().grow(1)
    assert account.quota.held_by(account.sender) == 1000 * (4 * KIB + 1)
    few_inodes = SpoolQuota(lambda: FreeSpace(64 * MIB, 16 * KIB))
    few_inodes.recount([("a", 1), ("a", 40 * KIB)])
    assert few_inodes.held_by("a") == 16 * KIB + 44 * KIB


def test_a_fixed_limit_replaces_the_share() -> None:
    """`spool_bytes_per_address` may be more or less than three quarters."""
    assert Disk(mib=64, limit_bytes=MIB).fill("10.1.2.3", file_bytes=60 * KIB) == MIB
    assert Disk(mib=64, limit_bytes=60 * MIB).fill("10.1.2.3", file_bytes=60 * KIB) == 60 * MIB


def test_incomplete_files_count_while_they_grow() -> None:
    """A sender with many associations at a time has one quota; what is removed no longer counts."""
    disk = Disk(mib=64)
    account = disk.quota.account("10.1.2.3")
    charges = [account.begin() for _ in range(24)]
    with pytest.raises(OverQuotaError):
        _grow_in_turn(charges * 1000)
    assert 45 * MIB < disk.quota.held_by(account.sender) <= 48 * MIB
    for charge in charges:
        charge.release()
    assert disk.quota.held_by(account.sender) == 0


def test_the_disk_reserve_stays_free_while_a_file_grows() -> None:
    """Other programs fill the disk too; then every sender is refused, as for a full disk."""
    disk = Disk(mib=64)
    charge = disk.quota.account("10.1.2.3").begin()
    disk.taken = 60 * MIB
    disk.quota.recount([])
    with pytest.raises(OSError, match="reserve") as refused:
        charge.grow(5 * MIB)
    assert (refused.value.errno, type(refused.value)) == (errno.ENOSPC, OSError)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.1.2.3", "10.1.2.4", False),
        ("10.1.2.3", "::ffff:10.1.2.3", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("fe80::1%eth0", "fe80::1", True),
        ("", "10.1.2.3", False),
    ],
)
def test_senders_are_addresses_and_networks_of_ipv6(one: str, other: str, same: bool) -> None:
    """A host may take any address of its IPv6 network."""
    assert (sender_of(one) == sender_of(other)) is same
    assert len(sender_of(one)) == 8


def test_files_of_a_restarted_receiver_count_again(tmp_path: Path) -> None:
    """Their names say who sent them; a removed file no longer counts, and one of an older release for nobody."""
    spool = Spool(tmp_path)
    before = SpoolQuota(lambda: FreeSpace(64 * MIB, 4 * KIB))
    paths = [_received(spool, before, "10.1.2.3", 100 * KIB) for _ in range(3)]
    sender = sender_of("10.1.2.3")
    (tmp_path / paths[0]).with_name("0123456789abcdef0123456789abcdef.dcm").write_bytes(b"older release")
    after = SpoolQuota(lambda: FreeSpace(64 * MIB, 4 * KIB))
    after.recount(spool.sizes())
    assert after.held_by(sender) == before.held_by(sender) == 3 * 104 * KIB
    (tmp_path / paths[0]).unlink()
    before.recount(spool.sizes())
    assert before.held_by(sender) == 2 * 104 * KIB


def test_a_count_during_a_transfer_keeps_what_is_under_way(tmp_path: Path) -> None:
    """Incomplete files stay counted, and files that become complete during the walk are not forgotten."""
    spool, quota = Spool(tmp_path), SpoolQuota(lambda: FreeSpace(64 * MIB, 4 * KIB))
    account = quota.account("10.1.2.3")
    under_way, completed = spool.begin(account), spool.begin(account)
    under_way.write(bytes(100 * KIB))
    completed.write(bytes(200 * KIB))

    def walk() -> list[tuple[str, int]]:
        found = list(spool.sizes())
        completed.complete()
        return found

    quota.recount(_lazily(walk))
    assert quota.held_by(account.sender) == (104 + 204) * KIB
    under_way.discard()
    assert quota.held_by(account.sender) == 204 * KIB


@pytest.mark.parametrize(
    ("files", "free_files", "expected"),
    [
        (0, 0, FreeSpace(60 * MIB, 4 * KIB)),
        (1000, 0, FreeSpace(60 * MIB, 4 * KIB)),
        (1024, 16, FreeSpace(-3 * MIB, 64 * KIB)),
        (2**16, 2**16, FreeSpace(60 * MIB, 4 * KIB)),
    ],
)
def test_a_disk_is_full_when_its_inodes_are_used_up(
    monkeypatch: pytest.MonkeyPatch, files: int, free_files: int, expected: FreeSpace
) -> None:
    """Of 64 MiB and 1,024 inodes each file takes 64 KiB; file systems that do not count inodes say 0."""
    status = SimpleNamespace(f_bavail=16384, f_frsize=4096, f_blocks=16384, f_files=files, f_favail=free_files)
    monkeypatch.setattr(os, "statvfs", lambda _: status)
    assert disk_space(Path("/spool"), 4 * MIB) == expected


def _received(spool: Spool, quota: SpoolQuota, address: str, size: int) -> str:
    incoming = spool.begin(quota.account(address))
    incoming.write(bytes(size))
    return incoming.complete().uri


def _grow_in_turn(charges: list[FileCharge]) -> None:
    for charge in charges:
        charge.grow(MIB)


def _lazily(walk: Callable[[], list[tuple[str, int]]]) -> Iterator[tuple[str, int]]:
    yield from walk()
