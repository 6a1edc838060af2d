"""How many frames are prepared at once."""

from worker.decode import frames_per_chunk


def test_a_chunk_is_bounded_in_frames_and_in_bytes() -> None:
    """Small frames go by 64; large ones by 64 MiB, and the largest one by one."""
    assert frames_per_chunk(28 * 28 * 4) == 64
    assert frames_per_chunk(4 * 1024**2) == 16
    assert frames_per_chunk(1024**3) == 1
    assert frames_per_chunk(0) == 64
