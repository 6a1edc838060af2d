"""Receive images by DICOM C-STORE and register them."""
