"""Tests of horizontal flips of pictures, faces, expressions, landmarks and cells."""

import numpy as np
import pytest

from mfn.structures import camera
from mfn.structures.faces import Faces
from mfn.structures.flip import MEDIAPIPE_FLIP, cell_flip, hflip_expression, hflip_faces, hflip_picture
from mfn.structures.head_model import HeadModel
from mfn.training.data.warp import similarity_matrix, warp_faces
from retarget.arkit import EXPRESSION_NAMES
from tests.helpers.faces import write_cells


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def random_faces(model: HeadModel, count: int, seed: int = 0) -> Faces:
    """Return faces with random values."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(20, 200, (count, 2))
    return Faces(
        image=np.zeros(count),
        box=np.concatenate([corner, corner + rng.uniform(30, 90, (count, 2))], 1),
        score=np.ones(count),
        rotation=camera.rotation_from_euler(rng.uniform(-0.7, 0.7, (count, 3)).astype(np.float32)),
        scale=rng.uniform(300, 900, count),
        center=rng.uniform(50, 250, (count, 2)),
        identity=rng.normal(size=(count, model.identity_size)),
        expression=rng.uniform(0, 1, (count, 51)) * (rng.random((count, 51)) < 0.3),
        track=np.full(count, -1),
    )


def test_two_flips_are_the_identity(model: HeadModel) -> None:
    faces = random_faces(model, 7)
    back = hflip_faces(hflip_faces(faces, 320, model.identity_mirror), 320, model.identity_mirror)
    for name in Faces.__dataclass_fields__:
        assert np.allclose(getattr(back, name), getattr(faces, name), atol=1e-4), name
    picture = np.random.default_rng(0).integers(0, 255, (5, 8, 3)).astype(np.uint8)
    assert (hflip_picture(hflip_picture(picture)) == picture).all()
    assert (MEDIAPIPE_FLIP[MEDIAPIPE_FLIP] == np.arange(478)).all()


def test_a_wink_changes_sides() -> None:
    wink = np.zeros((1, 51), np.float32)
    wink[0, EXPRESSION_NAMES.index("eyeBlinkLeft")] = 0.9
    wink[0, EXPRESSION_NAMES.index("jawRight")] = 0.4
    wink[0, EXPRESSION_NAMES.index("jawOpen")] = 0.3
    named = dict(zip(EXPRESSION_NAMES, hflip_expression(wink)[0]))
    assert named["eyeBlinkRight"] == np.float32(0.9) and named["eyeBlinkLeft"] == 0
    assert named["jawLeft"] == np.float32(0.4) and named["jawRight"] == 0 and named["jawOpen"] == np.float32(0.3)


def test_the_mesh_of_a_flipped_face_is_the_flipped_mesh(model: HeadModel) -> None:
    faces = random_faces(model, 3, seed=2)
    mirrored = hflip_faces(faces, 300, model.identity_mirror)

    def mesh(f: Faces) -> np.ndarray:
        return camera.project(model.vertices(f.identity, f.expression), f.rotation, f.scale, f.center)

    expected = mesh(faces)[:, model.mirror]
    expected[..., 0] = 300 - expected[..., 0]
    assert np.abs(mesh(mirrored) - expected).max() < 0.5  # the asymmetry of the mesh is below half a pixel


def test_scene_composition_flips_in_the_same_way(model: HeadModel) -> None:
    faces = random_faces(model, 4, seed=3)
    matrix = similarity_matrix(1.0, 0.0, np.zeros(2), np.zeros(2), True, 300)
    moved = warp_faces(faces, matrix, model.identity_mirror, np.zeros(4, bool), lambda f: f.box)
    mirrored = hflip_faces(faces, 300, model.identity_mirror)
    for name in ("rotation", "scale", "center", "identity", "expression", "box"):
        assert np.allclose(getattr(moved, name), getattr(mirrored, name), atol=1e-3), name


def test_flipped_cells_are_those_of_flipped_faces(model: HeadModel) -> None:
    faces = random_faces(model, 5, seed=4).replace(score=np.full(5, 0.7))
    center, stride = np.array([[40, 24]] * 5, np.float32), np.full(5, 16, np.float32)
    order, sign = cell_flip(model.identity_mirror)
    expected = write_cells(hflip_faces(faces, 300, model.identity_mirror), np.array([300, 0]) - center * [1, -1], stride)
    np.testing.assert_allclose(write_cells(faces, center, stride)[:, order] * sign, expected, atol=1e-4)


def test_mediapipe_points_have_mirror_images(model: HeadModel) -> None:
    assert (MEDIAPIPE_FLIP[MEDIAPIPE_FLIP] == np.arange(478)).all()
    mean = model.landmark_basis("mediapipe478")[0]
    distance = np.linalg.norm(mean[MEDIAPIPE_FLIP] * (-1, 1, 1) - mean, axis=1)
    assert np.median(distance) < 0.0015 and np.quantile(distance, 0.95) < 0.006


def test_no_faces(model: HeadModel) -> None:
    assert len(hflip_faces(Faces.empty(model.identity_size), 10, model.identity_mirror)) == 0
