"""Compare the results of two networks on the same images of a night, without and with ground truth."""
