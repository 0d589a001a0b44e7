"""The networks that ship in the package, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from mfn.structures.network_metadata import Size
from mfn.weights import weights_path

ModelName = Literal["small", "large"]


class Model(NamedTuple):
    """A multi-face network: its ONNX file, and the input size it is made for. Only the area of the size counts."""

    path: Path
    size: Size


MODELS: dict[str, Model] = {
    "small": Model(weights_path("mfn-small.onnx"), Size(352, 208)),  # a square picture gets 272 x 272
    "large": Model(weights_path("mfn.onnx"), Size(864, 496)),  # a square picture gets 656 x 656
}
DEFAULT_MODEL: ModelName = "large"
"""The model for pictures and clips, in Python and on the command line."""
LIVE_MODEL: ModelName = "small"
"""The model for webcams: five times as fast, but it misses small faces."""
DEFAULT_WEIGHTS, DEFAULT_SIZE = MODELS[DEFAULT_MODEL]
SINGLE_FACE_WEIGHTS = weights_path("sfn.onnx")


def find_model(weights: str | Path) -> Model:
    """Return the model of a name, or of an ONNX file.

    Args:
        weights: "small", "large", or the path of a multi-face network's ONNX file.

    Returns:
        The model. The size of a file is read later, from its metadata; until then it is that of "large".

    Raises:
        FileNotFoundError: If `weights` is neither a name nor a file.
    """
    if str(weights) in MODELS:
        return MODELS[str(weights)]
    if not Path(weights).is_file():
        raise FileNotFoundError(f"{weights}: no such file; expected {', '.join(MODELS)} or a network's .onnx file")
    return Model(Path(weights), DEFAULT_SIZE)
