"""Every face of a picture in one pass: box, head pose, identity and 51 ARKit expression weights.

    from mfn import Predictor
    faces = Predictor.load()("crowd.jpg")

Names are loaded when they are first used, so that `import mfn` stays light: NumPy only, no torch, no OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfn.inference.predictor import Predictor
    from mfn.inference.single_face import SingleFace
    from mfn.structures.faces import Faces
    from mfn.structures.head_model import HeadModel

__all__ = ["Faces", "HeadModel", "Predictor", "SingleFace", "__version__"]
__version__ = "0.1.0"

_HOME = {"Faces": "mfn.structures.faces", "HeadModel": "mfn.structures.head_model", "Predictor": "mfn.inference.predictor", "SingleFace": "mfn.inference.single_face"}


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'mfn' has no attribute {name!r}")
