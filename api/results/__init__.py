"""Search results, and read studies, series, nights, batches, models and the state of the work."""
