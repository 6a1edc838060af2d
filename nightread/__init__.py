"""The spine: what all processes agree on."""

__version__ = "0.1.0"
