"""Arrange the slices of a series by their positions in the patient."""
