"""Build small faces, evaluation sets and stand-in networks for the tests of the experiments."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mfn.structures.camera import FRONTAL
from mfn.structures.faces import Faces

SCORE = '''
import numpy as np

def nme(predicted, true):
    size = np.sqrt(np.prod(np.ptp(true, axis=1), axis=1))
    return np.linalg.norm(predicted - true, axis=2).mean(1) / size * 100

def aligned_nme(predicted, true):
    return nme(predicted, true) / 2
'''


def one_face(box: Sequence[float], identity_size: int = 64, score: float = 1.0) -> Faces:
    """Return one frontal, mean, neutral face with a box x1 y1 x2 y2 in px."""
    return Faces(
        image=np.zeros(1, np.int32),
        box=np.array([box], np.float32),
        score=np.full(1, score, np.float32),
        rotation=FRONTAL[None].copy(),
        scale=np.array([(box[3] - box[1]) * 10], np.float32),
        center=np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]], np.float32),
        identity=np.zeros((1, identity_size), np.float32),
        expression=np.zeros((1, 51), np.float32),
        track=np.full(1, -1, np.int32),
    )


def write_tar(path: Path, pictures: Sequence[np.ndarray]) -> None:
    """Write RGB pictures as 000000.png, 000001.png, … into a tar file."""
    import cv2

    with tarfile.open(path, "w") as tar:
        for number, picture in enumerate(pictures):
            data = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
            info = tarfile.TarInfo(f"{number:06d}.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def numbered_pictures(count: int, height: int = 40, width: int = 60) -> list[np.ndarray]:
    """Return gray pictures whose level is their number."""
    return [np.full((height, width, 3), number, np.uint8) for number in range(count)]


def by_number(answers: Sequence[Faces]) -> Callable[[np.ndarray], Faces]:
    """Return a stand-in for a `Predictor` that knows the answer for each of `numbered_pictures`."""
    return lambda picture: answers[int(picture[0, 0, 0])]
