"""Packs that are made: which faces are used, and that pictures and faces belong together."""

import numpy as np
import pytest

from experiments.data_generation import expressions, heads, profiles, winks
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from mfn.training.packs.reader import Pack, read_pack
from mfn.training.packs.writer import write_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import decode_image, encode_jpeg
from tests.helpers.experiments import numbered_pictures, one_face


def pack_with(faces: Faces, known: np.ndarray, pictures: int) -> Pack:
    return Pack("lfw", numbered_pictures(pictures), faces, known, np.zeros((0, 4), np.float32), np.zeros(0, np.int32))


def test_lone_faces_are_tall_known_and_alone():
    boxes = [(0, 0, 50, 90), (0, 0, 50, 90), (9, 9, 40, 90), (0, 0, 20, 30), (0, 0, 50, 90)]
    image = [0, 1, 1, 2, 3]
    faces = Faces.concatenate([one_face(box).replace(image=np.array([i])) for box, i in zip(boxes, image, strict=True)])
    pack = pack_with(faces, np.array([True, True, True, True, False]), 4)
    assert profiles.lone_faces(pack).tolist() == [0]


def test_faces_that_are_turned_far_are_not_edited():
    angles = np.radians([[0.0, 10, 0], [0, 60, 0], [30, 0, 0]])
    faces = Faces.concatenate([one_face((0, 0, 60, 90)).replace(image=np.array([i])) for i in range(3)])
    pack = pack_with(faces.replace(rotation=rotation_from_euler(angles)), np.ones(3, bool), 3)
    assert expressions.editable_faces(pack).tolist() == [0]


def test_photos_that_are_held_out_for_validation_are_not_edited(tmp_path):
    faces = Faces.concatenate([one_face((0, 0, 9, 9))] * 20).replace(image=np.arange(20))
    write_pack(tmp_path, "photos", [encode_jpeg(picture) for picture in numbered_pictures(20)], faces)
    whole = read_pack(tmp_path, tmp_path / "labels", "photos")
    used = profiles.training_pack(tmp_path, tmp_path / "labels", "photos").faces.image
    assert len(used) and not whole.held_out()[used].any() and whole.held_out().any()


def test_ctrl_c_keeps_the_heads_that_are_done():
    answers = iter(range(3))

    def draw():
        number = next(answers)
        if number == 2:
            raise KeyboardInterrupt
        return numbered_pictures(3)[number], one_face((0, 0, 9, 9), score=number / 2)

    coded, faces = heads.make(draw, 10)
    assert len(coded) == len(faces) == 2 and faces.score.tolist() == [0, 0.5]
    assert [int(decode_image(data).mean()) for data in coded] == [0, 1]


def test_the_sheet_shows_each_edit_below_its_photo(tmp_path):
    photos = [np.full((40, 40, 3), 200, np.uint8)] * 5
    coded = [encode_jpeg(np.full((40, 40, 3), 50, np.uint8))] * 5
    expressions.draw_sheet(tmp_path / "sheet.png", photos, coded, columns=2, side_px=10)
    sheet = decode_image((tmp_path / "sheet.png").read_bytes())
    assert sheet.shape == (40, 20, 3)
    np.testing.assert_allclose(sheet[:, 0, 0], np.repeat([200, 50, 200, 50], 10), atol=2)


def test_narrow_eyes_squint_and_are_not_shut():
    expression = np.zeros((5, len(EXPRESSION_NAMES)), np.float32)
    for row, (blink, squint) in enumerate([(0.05, 0.0), (0.3, 0.6), (0.9, 0.6), (0.3, 0.1), (0.2, 0.6)]):
        expression[row, winks.BLINKS], expression[row, winks.SQUINTS] = blink, squint
    groups = winks.eye_groups(expression)
    assert {name: rows.tolist() for name, rows in groups.items()} == {"open": [0, 4], "narrow": [1, 4], "shut": [2]}


@pytest.mark.parametrize(("share", "drawn"), [(0.0, {0, 2}), (1.0, {1, 2})])
def test_open_eyes_are_narrow_as_often_as_wanted(share, drawn):
    groups = {"open": np.array([0]), "narrow": np.array([1]), "shut": np.array([2])}
    portraits = winks.Portraits(None, [], np.zeros((3, 3)))
    rng = np.random.default_rng(0)
    pairs = [winks.draw_pair(portraits, groups, share, rng) for _ in range(40)]
    assert {number for pair in pairs for number in pair} == drawn
