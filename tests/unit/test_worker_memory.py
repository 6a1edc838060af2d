"""Limit the number of frames that are prepared at once."""

from worker.decode import frames_per_chunk


def test_a_chunk_is_bounded_in_frames_and_in_bytes() -> None:
    """A chunk has 64 small frames, or 64 MiB of large frames, and at least one frame."""
    assert frames_per_chunk(28 * 28 * 4) == 64
    assert frames_per_chunk(4 * 1024**2) == 16
    assert frames_per_chunk(1024**3) == 1
    assert frames_per_chunk(0) == 64
