"""Exclude long-lived objects from Python's garbage collection."""

import gc


def freeze_gc() -> None:
    """Collect garbage now, including objects frozen before, then exclude all remaining objects from later collections.

    Modules live as long as the process, and the objects of TensorFlow live as long as the network. Without this call
    the collector would visit all of them every few batches.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
