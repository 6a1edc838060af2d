"""Define the type of pixel arrays in signatures. Docstrings state shape and dtype."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
