"""Arrange the slices of a series by where they lie in the patient."""
