"""Define the settings of the networks and of the processes that run them: a part of nightread.settings."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class InferenceSettings(BaseSettings):
    """The settings of inference."""

    model: str | None = Field(None, description="`NAME[@VERSION]` of the model that analyses every image.")
    any_domain: bool = Field(False, description="Analyse images that the model was not made for; results are marked.")
    workers: int = Field(0, ge=0, description="Number of worker processes; 0: one per GPU, else one per CPU core.")
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="Device on which the networks run.")
    runtime: Literal["auto", "keras", "onnx"] = Field(
        "auto",
        description="What runs the networks: `keras`, `onnx` (ONNX Runtime), or `auto`: on a CPU ONNX Runtime if the "
        "model has an ONNX file, on a GPU Keras.",
    )
    decode_ahead: bool | None = Field(
        None, description="Decode the next images while the network predicts; unset: only on a GPU or with `decoders`."
    )
    decoders: int = Field(
        0,
        ge=0,
        le=256,
        description="Number of processes per worker process that read and decode its images, for GPU hosts; 0: the "
        "worker process does so itself. Linux only.",
    )
