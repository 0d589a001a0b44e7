import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.camera import FRONTAL
from mfn.data.blend import BORDERS, border, crowd, decoys, match_colours, match_grain, paste
from mfn.faces import Faces
from mfn.head_model import HeadModel

FACE = np.array([20, 16, 44, 48], np.float32)


@pytest.mark.parametrize("kind", BORDERS)
def test_the_face_is_whole_and_the_edge_is_gone(kind):
    share = border((64, 60), FACE, kind, np.random.default_rng(0))
    assert share.shape == (64, 60) and share.min() >= 0 and share.max() <= 1
    assert share[16:48, 20:44].min() > 0.99
    if kind not in ("cut", "poisson"):
        assert share[0].max() < 0.2 and share[:, -1].max() < 0.2


def test_an_unknown_border_is_told():
    with pytest.raises(ValueError, match="expected one of soft"):
        border((8, 8), FACE, "hairy", np.random.default_rng(0))


def test_colours_come_nearer_and_noise_is_matched():
    rng = np.random.default_rng(0)
    dark, light = (np.clip(rng.normal(m, 10, (40, 40, 3)), 0, 255).astype(np.uint8) for m in (60, 180))
    assert (
        abs(match_colours(dark, light, 1.0).mean() - 180) < 80 and abs(match_colours(dark, light, 0.0).mean() - 60) < 3
    )
    flat = np.full((40, 40, 3), 120, np.uint8)
    assert match_grain(flat, light, rng).std() > 1 and match_grain(light, flat, rng).std() < light.std()


def test_pasting_at_any_corner():
    rng, patch = np.random.default_rng(2), np.full((30, 30, 3), 200, np.uint8)
    for corner in ((-20, -20), (90, 90), (40, 40), (-100, 0), (99, 50)):
        scene = np.zeros((100, 100, 3), np.uint8)
        paste(scene, patch, corner, np.array([8, 8, 22, 22]), rng)
        assert scene.shape == (100, 100, 3)
    assert scene.max() == 0 or scene.max() > 0


def test_decoys_keep_off_faces():
    rng = np.random.default_rng(3)
    scene, photos = np.zeros((120, 120, 3), np.uint8), [np.full((80, 90, 3), 250, np.uint8)]
    taken = np.array([[30, 30, 90, 90]], np.float32)
    assert decoys(scene, 3, photos, taken, rng) > 0
    assert scene[30:90, 30:90].max() == 0 and scene.max() > 0


def test_a_crowd_keeps_its_labels():
    model, rng = HeadModel.load(), np.random.default_rng(5)
    one = Faces(
        image=[0], box=[[60, 50, 140, 160]], score=[1], rotation=FRONTAL[None], scale=[700.0], center=[[100.0, 85.0]],
        identity=np.zeros((1, model.identity_size)), expression=np.zeros((1, 51)), track=[-1],
    )  # fmt: skip
    photo = np.full((200, 200, 3), 100, np.uint8)
    photo[83:88, 98:103] = (255, 0, 0)  # between the eyes
    scene = np.full((300, 400, 3), 100, np.uint8)
    placed = crowd([photo] * 4, Faces.concatenate([one] * 4), scene, (90.0, 110.0), rng)
    assert 1 <= len(placed) <= 4
    for x, y in placed.center:
        near = scene[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3].astype(int)
        assert (near[..., 0] - near[..., 1]).max() > 40
    assert len(crowd([], Faces.empty(model.identity_size), scene, (9.0, 10.0), rng)) == 0
