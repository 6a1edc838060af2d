"""Define the free disk space at which operators are warned and archives wait."""

_ALARM = 4


def alarm_bytes(reserve_bytes: int) -> int:
    """Return the free space below which an operator is warned, and no archive is unpacked: four times the reserve.

    At the reserve itself dispatch is paused and receivers refuse images.
    """
    return _ALARM * reserve_bytes
