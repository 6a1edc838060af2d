"""Hold what all processes share: settings, queue message, reasons, errors and logs."""

__version__ = "0.1.0"
