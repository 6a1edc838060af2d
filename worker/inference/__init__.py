"""Run the loaded models on prepared frames."""
