"""Python's collector of cyclic garbage, in processes that live long."""

import gc


def freeze_gc() -> None:
    """Collect now, what was kept out before included, and leave what stays alone from then on.

    Modules stay as long as the process, what TensorFlow made as long as the network: the collector would walk all of
    it every few batches.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
