"""Find every face of a picture: box, head pose, identity and 51 ARKit expression weights.

One pass of one network finds and places all faces, and gives a first reading of each. Two small networks then read each face and its eyes
once more: in photos all faces, in video a fixed number.

    import mfn

    predictor = mfn.Predictor.load()
    faces = predictor("crowd.jpg")                      # Faces: arrays with one row a face
    faces.box, faces.pitch_yaw_roll_deg, faces.expression_of("jawOpen"), faces.landmarks("ibug68")
    drawing = mfn.draw("crowd.jpg", faces)

    for faces in mfn.track("clip.mp4"):                 # tracked and smoothed, frame by frame
        print(faces.track, faces.box)

Names are imported when they are first used. `import mfn` itself loads neither torch nor OpenCV nor ONNX Runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfn.animation.bridge import faces_to_take as faces_to_take
    from mfn.inference.input.picture_sources import FailedPicture as FailedPicture
    from mfn.inference.input.picture_sources import PictureWarning as PictureWarning
    from mfn.inference.predictor import Predictor as Predictor
    from mfn.inference.readers.frame_memory import FrameMemory as FrameMemory
    from mfn.inference.single_face import SingleFace as SingleFace
    from mfn.inference.visualize import draw as draw
    from mfn.structures.faces import Faces as Faces
    from mfn.structures.head_model import HeadModel as HeadModel
    from mfn.video.track import track as track
    from mfn.video.tracking.online_tracker import Tracker as Tracker
    from retarget.arkit import EXPRESSION_NAMES as EXPRESSION_NAMES
    from retarget.io.images import read_image as read_image

__version__ = "0.1.0"

_HOMES: dict[str, str] = {
    "EXPRESSION_NAMES": "retarget.arkit",
    "FailedPicture": "mfn.inference.input.picture_sources",
    "Faces": "mfn.structures.faces",
    "FrameMemory": "mfn.inference.readers.frame_memory",
    "HeadModel": "mfn.structures.head_model",
    "PictureWarning": "mfn.inference.input.picture_sources",
    "Predictor": "mfn.inference.predictor",
    "SingleFace": "mfn.inference.single_face",
    "Tracker": "mfn.video.tracking.online_tracker",
    "draw": "mfn.inference.visualize",
    "faces_to_take": "mfn.animation.bridge",
    "read_image": "retarget.io.images",
    "track": "mfn.video.track",
}
"""Public name -> the module that defines it."""

__all__ = [  # a literal list, so that type checkers and editors know it; a test compares it with _HOMES
    "EXPRESSION_NAMES",
    "Faces",
    "FailedPicture",
    "FrameMemory",
    "HeadModel",
    "PictureWarning",
    "Predictor",
    "SingleFace",
    "Tracker",
    "__version__",
    "draw",
    "faces_to_take",
    "read_image",
    "track",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mfn' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # found directly from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
