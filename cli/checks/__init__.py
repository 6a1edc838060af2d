"""Run the checks of `nightread doctor`."""
