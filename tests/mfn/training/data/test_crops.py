"""Crops of single faces: their labels follow the picture."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.structures.crop_geometry import CROP_SIZE, crop_face  # noqa: E402
from mfn.structures.faces import Faces  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from mfn.training.data.crops import CropMaker, is_usable, rotate_faces  # noqa: E402
from mfn.training.packs.sources import TrainingPictures  # noqa: E402
from tests.helpers.training import (  # noqa: E402
    crop_faces,
    crop_packs,
)

MODEL = HeadModel.load()

def test_crops_keep_faces_in_the_middle():
    maker = CropMaker(crop_packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL, frames=1)
    pictures, true = maker.batch(64, np.random.default_rng(0))
    assert pictures.shape == (64, 3, CROP_SIZE, CROP_SIZE) and pictures.dtype == torch.uint8
    fields = {name: value.numpy() for name, value in true.items()}
    faces = Faces(image=np.zeros(64), box=np.zeros((64, 4)), score=np.ones(64), track=np.zeros(64), **fields)
    box = MODEL.boxes(faces)
    middle, longer = (box[:, :2] + box[:, 2:]).mean(1) / 2, (box[:, 2:] - box[:, :2]).max(1)
    assert abs(middle.mean() - CROP_SIZE / 2) < 2 and middle.std() < 0.1 * CROP_SIZE
    assert np.median(longer) * 1.3 == pytest.approx(CROP_SIZE, rel=0.1)


def test_validation_has_the_faces_of_training_where_its_own_have_no_labels():
    (pack,) = crop_packs()
    held = pack.held_out()[pack.faces.image]
    pictures = TrainingPictures([replace(pack, has_labels=~held), pack], [1.0, 0.0], [])
    (train,), (val,) = (pictures.part(part, is_usable)[0] for part in (False, True))
    assert held.any() and val.faces.image.tolist() == train.faces.image.tolist() == pack.faces.image[~held].tolist()
    with pytest.raises(ValueError, match="sources: expected faces to train with in p, got none with labels"):
        TrainingPictures([replace(pack, has_labels=held)], [1.0], []).part(False, is_usable)


def test_frames_show_one_face_that_moves_little():
    maker = CropMaker(crop_packs(), [1.0], [np.zeros((150, 150, 3), np.uint8)], MODEL, frames=4)
    _, true = maker.batch(32, np.random.default_rng(1))
    identity, center = true["identity"].unflatten(0, (8, 4)), true["center"].unflatten(0, (8, 4))
    assert (identity == identity[:, :1]).all()
    step = (center[:, 1:] - center[:, :-1]).norm(dim=-1)
    assert 0 < step.mean() < 0.05 * CROP_SIZE


def test_a_crop_shows_what_its_matrix_says():
    """A bright spot at a landmark is found in the crop where the crop's label puts it, enlarged, shrunk and turned."""
    from mfn.training.data.warp import similarity_matrix

    for gain, angle in ((0.3, 0.0), (0.45, 0.6), (1.0, -0.5), (2.0, 0.3)):
        picture = np.zeros((600, 700, 3), np.uint8)
        picture[300:304, 400:404] = 255
        matrix = similarity_matrix(gain, angle, np.array([390.0, 310]), np.array([70.0, 60]), False, 0)
        crop = crop_face(picture, matrix).astype(float)[..., 0]
        y, x = np.mgrid[0:CROP_SIZE, 0:CROP_SIZE] + 0.5
        found = np.array([(x * crop).sum(), (y * crop).sum()]) / crop.sum()
        np.testing.assert_allclose(found, matrix @ [402, 302, 1], atol=0.35, err_msg=f"{gain} {angle}")


def test_turned_faces_turn_clockwise():
    face = crop_faces(1)
    turned = rotate_faces(face, np.pi / 2)
    before, after = (MODEL.landmarks(f, "ibug68")[0, :, :2] - f.center for f in (face, turned))
    np.testing.assert_allclose(after, before[:, ::-1] * [-1, 1], atol=1e-3)  # x right goes to y down
