"""Analyse one image per task, as tutorials do: `celery -A benchmarks.one_image_per_task worker`.

The message holds a path. The task calls `model.predict` on one image, commits one INSERT, and stores the label as its
result in Redis. Everything else is Celery's default. Unlike in most tutorials, each process loads the network after
the fork, because TensorFlow hangs if the network is loaded before the fork.
"""

import os
import sqlite3
from typing import Any

from celery import Celery
from celery.signals import worker_process_init

app = Celery("tutorial", broker=os.environ.get("TUTORIAL_REDIS"), backend=os.environ.get("TUTORIAL_REDIS"))
state: dict[str, Any] = {}


@worker_process_init.connect  # type: ignore[untyped-decorator]
def load_model(**_: Any) -> None:
    import keras

    from models.catalogue import find_bundle

    bundle = find_bundle("phantom")
    state["model"] = keras.saving.load_model(bundle.keras_file)
    state["labels"] = bundle.labels
    state["connection"] = sqlite3.connect(os.environ["TUTORIAL_DATABASE"], timeout=60)


@app.task  # type: ignore[untyped-decorator]
def classify(path: str) -> str:
    import cv2
    import numpy as np
    import pydicom

    model = state["model"]
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array.astype(np.float32)
    centre, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
    pixels = np.clip((pixels - (centre - width / 2)) / width, 0, 1)
    image = cv2.resize(pixels, model.input_shape[1:3][::-1], interpolation=cv2.INTER_AREA)
    scores = model.predict(image[None, ..., None], verbose=0)[0]
    label = str(state["labels"][int(scores.argmax())])
    with state["connection"] as connection:
        connection.execute("INSERT INTO result VALUES (?, ?, ?, ?)", (path, None, label, float(scores.max())))
    return label
