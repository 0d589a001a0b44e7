"""Which faces are hard, and that their colors are fitted."""

import numpy as np

from experiments.labels.hard_faces import FIT_FIELDS, hardest, refine_by_colors
from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.training.packs.reader import Pack
from tests.helpers.experiments import numbered_pictures, one_face


def test_the_faces_that_look_furthest_to_the_side_are_hard():
    angles = np.radians([[0.0, 10, 0], [0, -70, 0], [40, 0, 0], [0, 50, 0]])
    faces = Faces.concatenate([one_face((0, 0, 60, 90)).replace(image=np.array([i])) for i in range(4)])
    faces = faces.replace(rotation=rotation_from_euler(angles))
    pack = Pack("some", numbered_pictures(4), faces, np.ones(4, bool), np.zeros((0, 4), np.float32), np.zeros(0, np.int32))
    assert hardest(pack, 2).tolist() == [1, 3] and hardest(pack, 9).tolist() == [0, 1, 2, 3]


def test_colors_move_a_face_a_little():
    model, picture = HeadModel.load(), np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    face = one_face((20, 20, 70, 80)).replace(center=np.array([[45.0, 45]], np.float32), scale=np.array([300.0], np.float32))
    found = refine_by_colors(face, [picture], model)
    assert len(found) == 1 and np.isfinite(found.box).all()
    assert any(np.abs(getattr(found, name) - getattr(face, name)).max() > 1e-4 for name in FIT_FIELDS)
    moved = np.abs(model.landmarks(found, "ibug68")[..., :2] - model.landmarks(face, "ibug68")[..., :2]).max()
    assert moved < 10, "px: the landmarks hold it"
