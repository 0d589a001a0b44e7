"""Composed scenes: their faces lie where the targets say."""

from dataclasses import replace

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel
from mfn.training.data.scenes import SCENE_KINDS, Scene, SceneComposer, join_tiles

pytest.importorskip("cv2")
from tests.helpers.training import landmark_boxes, random_faces, spot_pack

MODEL = HeadModel.load()

def test_scenes_hold_their_faces_where_they_say():
    composer = SceneComposer([spot_pack()], [1.0], [np.full((300, 300, 3), 20, np.uint8)], MODEL.identity_mirror, landmark_boxes, 256)
    brighter = []
    for seed in range(12):
        scene = composer.compose(np.random.default_rng(seed))
        assert scene.picture.shape == (256, 256, 3) and scene.picture.dtype == np.uint8
        assert len(scene.has_labels) == len(scene.faces)
        assert (scene.faces.box >= 0).all() and (scene.faces.box <= 256).all()
        for box in scene.faces.box:
            if (box[2:] - box[:2]).min() < 12:
                continue
            cx, cy = ((box[:2] + box[2:]) / 2).astype(int)
            outside = scene.picture[:3, :3].mean()
            brighter.append(float(scene.picture[cy, cx].mean()) > outside)
    assert len(brighter) > 20 and np.mean(brighter) > 0.9


def test_same_seed_same_scene():
    composer = SceneComposer([spot_pack()], [1.0], [np.full((300, 300, 3), 20, np.uint8)], MODEL.identity_mirror, landmark_boxes, 128)
    a, b = (composer.compose(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(a.faces.box, b.faces.box)


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_a_scene_knows_whether_people_drew_all_its_boxes(shares):
    near, far = spot_pack(), replace(spot_pack(), hand_drawn=True)
    composer = SceneComposer([near, far], shares, [np.full((300, 300, 3), 20, np.uint8)], MODEL.identity_mirror, landmark_boxes, 128)
    known = {composer.compose(np.random.default_rng(seed)).hand_drawn for seed in range(24)}
    assert known == {(1.0, 0.0): {False}, (0.0, 1.0): {True}, (0.5, 0.5): {False, True}}[shares]


def test_kinds_are_a_distribution():
    assert sum(kind.share for kind in SCENE_KINDS.values()) == pytest.approx(1)


def test_a_sheet_is_its_tiles_side_by_side():
    rng = np.random.default_rng(2)
    box = np.array([[4, 6, 20, 30]], np.float32)
    tiles = []
    for number in range(4):
        face = random_faces(1, number).replace(box=box, center=np.array([[12.0, 15.0]]))
        picture = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        tiles.append(Scene(picture, face, np.array([number % 2 == 0]), box + number, hand_drawn=number > 0))
    sheet = join_tiles(list(tiles), 2)
    assert not sheet.hand_drawn and join_tiles([tile._replace(hand_drawn=True) for tile in tiles], 2).hand_drawn
    for number, tile in enumerate(tiles):
        x, y = 64 * (number % 2), 64 * (number // 2)
        np.testing.assert_array_equal(sheet.picture[y : y + 64, x : x + 64], tile.picture)
        np.testing.assert_allclose(sheet.faces.box[number], [4 + x, 6 + y, 20 + x, 30 + y])
        np.testing.assert_allclose(sheet.faces.center[number], [12 + x, 15 + y])
        np.testing.assert_allclose(sheet.ignore_box[number], np.array([4 + x, 6 + y, 20 + x, 30 + y]) + number)
    assert sheet.has_labels.tolist() == [True, False, True, False]


def test_a_pack_whose_faces_are_too_small_is_not_drawn():
    tiny, pack, photos = spot_pack(), spot_pack(), [np.full((300, 300, 3), 20, np.uint8)]
    tiny = replace(tiny, faces=tiny.faces.replace(box=tiny.faces.box / 20))
    composer = SceneComposer([tiny, pack], [9.0, 1.0], photos, MODEL.identity_mirror, landmark_boxes, 128)
    assert all(len(composer.compose(np.random.default_rng(seed)).faces) for seed in range(8))
    with pytest.raises(ValueError, match="expected packs with faces of more than 8 px, got none"):
        SceneComposer([tiny], [1.0], photos, MODEL.identity_mirror, landmark_boxes, 128)


def test_weights_must_match_packs():
    with pytest.raises(ValueError, match="one weight for each"):
        SceneComposer([], [], [], MODEL.identity_mirror, landmark_boxes)
