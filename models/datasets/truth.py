"""Convert class numbers to the 0/1 matrix of Examples."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def one_hot(classes: Sequence[int] | NDArray[np.integer], count: int) -> NDArray[np.float32]:
    """Return (images, count) from one class number per image."""
    return np.eye(count, dtype=np.float32)[np.asarray(classes, np.int64)]
