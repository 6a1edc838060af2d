"""How nightread names itself in file meta information and associations (DICOM PS3.7, annex D.3.3.2)."""

IMPLEMENTATION_CLASS_UID = "2.25.114582693106495225512707587987074980923"
"""Made of a UUID (DICOM PS3.5, B.2). It stays the same in all releases, as does the name: the same object received
twice gives the same bytes, and the worker knows it as a duplicate."""
IMPLEMENTATION_VERSION_NAME = "NIGHTREAD"
