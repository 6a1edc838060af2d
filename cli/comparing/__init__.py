"""Compare the results of two models in the database, and show the comparison."""
