"""Name the files in the folder that the sandbox shares with the process that started it."""

JOB_FILE = "job.json"
RESULT_FILE = "result.json"
INPUTS_FILE = "inputs.npy"
"""Prepared images to score; the file is optional."""
CONVERTED_FILE = "model.keras"
CONVERTED_ONNX_FILE = "model.onnx"
