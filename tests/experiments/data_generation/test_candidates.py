"""Which candidates are faces, and which are kept."""

import numpy as np

from experiments.data_generation.candidates import collect, collect_all, draw_uneven
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from retarget.io.images import Image

FACE, LOOSE, OTHER = [20.0, 20, 60, 70], [40.0, 20, 80, 70], [100.0, 60, 140, 110]


def predict(picture: Image, video: bool) -> Faces:
    """Find the face twice, the second time worse, and something that is no face, in px of the picture of 160 px width."""
    box = np.array([FACE, LOOSE, OTHER]) * (picture.shape[1] / 160)
    return Faces(
        image=np.zeros(3),
        box=box,
        score=[0.9, 0.8, 0.7],
        rotation=np.tile(np.diag([1, -1, -1]), (3, 1, 1)),
        scale=np.full(3, 250 * picture.shape[1] / 160),
        center=(box[:, :2] + box[:, 2:]) / 2,
        identity=np.zeros((3, IDENTITY_SIZE)),
        expression=np.zeros((3, 51)),
        track=np.full(3, -1),
    )


def test_a_candidate_is_a_face_if_it_overlaps_a_hand_drawn_box():
    picture = np.zeros((120, 160, 3), np.uint8)
    for shrink in ((1.0, 1.0), (0.5, 0.5)):
        found = collect(predict, picture, np.array([[22.0, 20, 60, 72]]), shrink, np.random.default_rng(0))
        assert found.is_face.tolist() == [True, False] and found.true_box[0].tolist() == [22, 20, 60, 72]
        middle = found.matrix[0, :, :2] @ [40, 45] + found.matrix[0, :, 2]
        assert np.abs(middle - 32).max() < 12, "the crop lies around the face in px of the photo"
    loose = collect(predict, picture, np.array([[14.0, 4, 50, 40]]), (1.0, 1.0), np.random.default_rng(0))
    assert loose.is_face.tolist() == [False, False], "an overlap of 0.22 is neither"


def test_a_squeezed_copy_gives_crops_of_the_copy():
    picture, box = np.zeros((120, 160, 3), np.uint8), np.array([[22.0, 20, 60, 72]])
    found = collect(predict, picture, box / [0.5, 0.8, 0.5, 0.8] * 0.5, (0.5, 0.8), np.random.default_rng(0))
    assert found.is_face.tolist() == [True, False] and found.shrink[0].tolist() == [0.5, 0.8]
    plain = collect(predict, picture, box, (0.5, 0.5), np.random.default_rng(0))
    np.testing.assert_allclose(found.matrix[0, :, :2] / [0.5, 0.8], plain.matrix[0, :, :2] / [0.5, 0.5], rtol=1e-6)


def test_uneven_copies_are_never_larger_than_the_picture():
    drawn = np.array([draw_uneven(np.random.default_rng(seed)) for seed in range(200)])
    assert drawn.max() <= 1 and 1.5 < (drawn[:, 0] / drawn[:, 1]).max() <= 1.7 + 1e-9


def test_held_out_photos_are_left_out():
    photos = {"scenes": [np.zeros((120, 160, 3), np.uint8)] * 3, "backgrounds": [np.zeros((120, 160, 3), np.uint8)] * 7}
    found = collect_all(predict, photos, [np.array([FACE])] * 3, np.random.default_rng(0))
    assert set(found.picture[found.source == 0]) == {1} and set(found.picture[found.source == 1]) == {1, 2, 3, 4, 6}
    assert not found.is_face[found.source == 1].any() and found.is_face[found.source == 0].sum() >= 1
