"""A file is complete if it did not change for the settling time."""

import pytest

from producer.folders.settling import Settling

A, B = b"a" * 16, b"b" * 16


def test_a_file_settles_after_exactly_the_settling_time() -> None:
    """It is first seen at 100 s and is settled at 102 s, not at 101.9 s."""
    settling = Settling(2.0)
    for now, settled in ((100.0, False), (101.9, False), (102.0, True)):
        assert settling.is_settled(A, now) is settled
        settling.end_scan()


def test_without_a_settling_time_every_file_is_settled() -> None:
    """The time between first and latest look is 0 s."""
    assert Settling(0).is_settled(A, 100.0)


def test_each_file_has_its_own_time() -> None:
    """A file that comes later does not settle with an earlier one."""
    settling = Settling(2.0)
    settling.is_settled(A, 100.0)
    settling.end_scan()
    assert not settling.is_settled(B, 101.0)
    assert not settling.is_settled(A, 101.0)
    settling.end_scan()
    assert settling.is_settled(A, 102.0)
    assert not settling.is_settled(B, 102.0)


def test_the_number_of_waiting_files_is_that_of_the_latest_walk() -> None:
    """During a scan it is still that of the scan before. A settled file no longer waits."""
    settling = Settling(2.0)
    settling.is_settled(A, 100.0)
    settling.is_settled(B, 101.0)
    assert len(settling) == 0
    settling.end_scan()
    assert len(settling) == 2
    settling.is_settled(A, 102.0)
    settling.is_settled(B, 102.0)
    settling.end_scan()
    assert len(settling) == 1


@pytest.mark.parametrize("walks_without_it", [1, 2])
def test_a_file_that_a_walk_did_not_find_starts_again(walks_without_it: int) -> None:
    """Its time begins when it is found again."""
    settling = Settling(2.0)
    settling.is_settled(A, 100.0)
    settling.end_scan()
    for _ in range(walks_without_it):
        settling.end_scan()
    assert not settling.is_settled(A, 110.0)
    settling.end_scan()
    assert settling.is_settled(A, 112.0)


def test_a_walk_that_was_broken_off_forgets_no_file() -> None:
    """It found one of two files: both keep their times, and a file that it met first starts to wait."""
    settling = Settling(2.0)
    settling.is_settled(A, 100.0)
    settling.end_scan()
    settling.is_settled(B, 101.0)
    settling.abandon_scan()
    assert len(settling) == 2
    assert settling.is_settled(A, 102.0)
    assert not settling.is_settled(B, 102.0)
    assert settling.is_settled(B, 103.0)


def test_a_broken_off_walk_leaves_nothing_for_the_next_one() -> None:
    """A file that was deleted after it is forgotten at the end of the next scan."""
    settling = Settling(2.0)
    settling.is_settled(A, 100.0)
    settling.abandon_scan()
    settling.end_scan()
    assert len(settling) == 0
