"""One eye of another photo."""

import numpy as np

from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.photo_edits.eye_swap import eye_shapes, swap_eye
from retarget.arkit import EXPRESSION_NAMES

MODEL = HeadModel.load()


def portrait(blink: float, scale: float = 900.0, center: tuple[float, float] = (120, 120)) -> Faces:
    """A frontal face with both lids at `blink`."""
    expression = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    for side in ("Left", "Right"):
        expression[0, EXPRESSION_NAMES.index(f"eyeBlink{side}")] = blink
    return Faces(
        image=np.zeros(1, np.int32),
        box=np.zeros((1, 4), np.float32),
        score=np.ones(1, np.float32),
        rotation=np.diag([1.0, -1.0, -1.0]).astype(np.float32)[None],
        scale=np.array([scale], np.float32),
        center=np.array([center], np.float32),
        identity=np.zeros((1, MODEL.identity_basis.shape[0]), np.float32),
        expression=expression,
        track=np.full(1, -1, np.int32),
    )


def photos() -> tuple[np.ndarray, np.ndarray]:
    """A photo with soft stripes, and another with stripes the other way."""
    y, x = np.mgrid[:240, :240]
    stripes = [(120 + 60 * np.sin(0.4 * axis)).astype(np.uint8) for axis in (x, y)]
    return tuple(np.repeat(s[:, :, None], 3, 2) for s in stripes)  # type: ignore[return-value]


def test_only_the_pixels_around_one_eye_change():
    picture, other = photos()
    face = portrait(0.0)
    swapped = swap_eye(picture, face, other, portrait(1.0), "Left", MODEL)
    assert swapped is not None
    changed = np.argwhere(np.abs(swapped.picture.astype(int) - picture).max(2) > 3)
    points = MODEL.landmarks(face, "mediapipe478")[0, :, :2]
    left_iris = points[473]
    reach = np.abs(changed[:, ::-1] - left_iris).max()
    assert len(changed) > 50 and reach < 0.06 * face.scale[0]


def test_the_label_takes_the_lid_and_gaze_of_the_other_photo():
    picture, other = photos()
    swapped = swap_eye(picture, portrait(0.0), other, portrait(1.0), "Right", MODEL)
    assert swapped is not None
    value = dict(zip(EXPRESSION_NAMES, swapped.face.expression[0], strict=True))
    assert value["eyeBlinkRight"] == 1 and value["eyeBlinkLeft"] == 0


def test_an_eye_outside_of_the_photo_is_refused():
    picture, other = photos()
    assert swap_eye(picture, portrait(0.0, center=(238, 120)), other, portrait(1.0), "Left", MODEL) is None


def test_a_much_smaller_eye_is_refused():
    picture, other = photos()
    assert swap_eye(picture, portrait(0.0), other, portrait(1.0, scale=200.0), "Left", MODEL) is None


def test_shapes_of_an_eye_are_of_one_side():
    names = [EXPRESSION_NAMES[i] for i in eye_shapes("Left")]
    assert len(names) == 7 and all(name.startswith("eye") and name.endswith("Left") for name in names)
