"""Turn the scores of the slices of a series into the result of the series."""
