"""Measure how good a network is, in figures and plots."""
