"""The type of pixels in signatures; docstrings say which shape and dtype."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
