"""Name the files of an evaluation."""

JSON_FILE = "evaluation.json"
PAGE_FILE = "evaluation.html"
