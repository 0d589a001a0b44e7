import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.structures.camera import FRONTAL
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.synthesis.clips import clip_from_photo, clip_of_head, random_motion
from mfn.synthesis.expression_edit import Editor
from mfn.synthesis.heads import Heads
from retarget.arkit import EXPRESSION_NAMES

MODEL = HeadModel.load()


def test_a_motion_begins_at_rest_and_is_smooth():
    motion = random_motion(50, np.random.default_rng(0))
    np.testing.assert_allclose(motion.turn[0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(motion.shift[0], 0, atol=1e-6)
    assert motion.mix.min() >= 0 and motion.mix.max() <= 1
    assert np.abs(np.diff(motion.shift, axis=0)).max() < 0.2
    np.testing.assert_allclose(motion.turn @ motion.turn.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-5)
    with pytest.raises(ValueError, match="at least 1"):
        random_motion(0, np.random.default_rng(0))


def test_a_clip_of_a_photo_keeps_its_labels_on_the_mark():
    face = Faces(
        image=[0], box=[[60, 50, 140, 160]], score=[1], rotation=FRONTAL[None], scale=[700.0], center=[[100.0, 85.0]],
        identity=np.zeros((1, MODEL.identity_size)), expression=np.zeros((1, len(EXPRESSION_NAMES))), track=[-1],
    )  # fmt: skip
    photo = np.full((200, 200, 3), (190, 140, 120), np.uint8)
    x, y = MODEL.landmarks(face, "ibug68")[0, 30, :2].astype(int)
    photo[y - 2 : y + 3, x - 2 : x + 3] = (0, 0, 255)
    rng = np.random.default_rng(4)
    frames, rows = clip_from_photo(photo, face, Editor(MODEL), face.expression[0], random_motion(4, rng), rng)
    assert len(frames) == len(rows) == 4
    np.testing.assert_array_equal(rows.image, range(4))
    for frame, expected in zip(frames, MODEL.landmarks(rows, "ibug68")[:, 30, :2]):
        blue = np.argwhere(frame[..., 2].astype(int) - frame[..., 0] > 60)
        np.testing.assert_allclose(blue.mean(0)[::-1] + 0.5, expected, atol=3)


def test_a_clip_of_a_head_is_one_person():
    rng = np.random.default_rng(1)
    frames, rows = clip_of_head(Heads(MODEL), random_motion(3, rng), rng, 96)
    assert all(frame.shape == (96, 96, 3) and frame.dtype == np.uint8 for frame in frames)
    assert (rows.identity == rows.identity[0]).all() and (rows.track == 0).all()
