"""Identify nightread in file meta information and in associations (DICOM PS3.7, annex D.3.3.2)."""

IMPLEMENTATION_CLASS_UID = "2.25.114582693106495225512707587987074980923"
"""Derived from a UUID (DICOM PS3.5, B.2). UID and name are the same in all releases: an object that is received twice
then gives the same bytes, so that the worker recognises the duplicate."""
IMPLEMENTATION_VERSION_NAME = "NIGHTREAD"
