import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.structures.camera import FRONTAL, project
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel, face_box
from mfn.synthesis.appearance import random_appearance
from mfn.synthesis.head_renderer import LIGHT_FROM_ABOVE, draw_head, make_person
from mfn.synthesis.heads import OPPOSITES, HeadGenerator, behind_mask, random_expressions
from mfn.training.data.pack_writer import write_pack
from mfn.training.data.packs import read_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import encode_jpeg


@pytest.fixture(scope="module")
def heads() -> HeadGenerator:
    return HeadGenerator(HeadModel.load(), pictures=2)


def drawn(heads: HeadGenerator, weights: dict[str, float], size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A bare frontal mean head: sRGB-like colours (S, S, 3), its 68 points (68, 2) px."""
    expression = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    for name, weight in weights.items():
        expression[0, EXPRESSION_NAMES.index(name)] = weight
    identity, rng = np.zeros((1, heads.model.identity_size), np.float32), np.random.default_rng(3)
    look = random_appearance(rng)._replace(
        skin=np.array([0.5, 0.35, 0.28], np.float32), hairline=1.0, cover=0, mask=False, lashes=1.0
    )
    person = make_person(heads.canvas, look, identity[0], rng)
    vertices = heads.model.vertices(identity, expression)[0]
    points = project(vertices, FRONTAL, np.float32(4.5 * size), np.array([size / 2, size * 0.42], np.float32))
    colour, pixel, _ = draw_head(heads.canvas, person, points, FRONTAL, LIGHT_FROM_ABOVE, (size, size))
    picture = np.zeros((size, size, 3), np.float32)
    picture.reshape(-1, 3)[pixel] = colour
    return picture, heads.model.points(points, "ibug68")[:, :2]


def test_labels_are_where_the_head_is(heads):
    rng = np.random.default_rng(0)
    for _ in range(4):
        picture, face = heads.picture(rng, 128, 1.0)
        assert picture.shape == (128, 128, 3) and picture.dtype == np.uint8 and len(face) == 1
        points = heads.model.landmarks(face, "mediapipe478")
        np.testing.assert_allclose(face.box, face_box(points), atol=1e-2)
        assert 40 < face.box[0, 3] - face.box[0, 1] < 128
    assert face.track[0] == 1  # two pictures of each person


def test_the_same_seed_makes_the_same_picture(heads):
    made = []
    for _ in range(2):
        heads.forget()
        made.append(heads.picture(np.random.default_rng(7), 96, 1.0))
    np.testing.assert_array_equal(made[0][0], made[1][0])
    np.testing.assert_array_equal(made[0][1].expression, made[1][1].expression)


def test_an_open_mouth_is_dark_inside(heads):
    shut, _ = drawn(heads, {})
    wide, points = drawn(heads, {"jawOpen": 1.0})
    x, y = points[[62, 66]].mean(0).astype(int)
    lip = points[57].astype(int)
    assert (
        wide[y - 3 : y + 4, x - 2 : x + 3].mean() < 0.5 * shut[lip[1] - 1 : lip[1] + 2, lip[0] - 1 : lip[0] + 2].mean()
    )
    assert points[66, 1] - points[62, 1] > 10


def test_closed_eyes_show_skin(heads):
    def eye(weights: dict[str, float]) -> np.ndarray:
        picture, points = drawn(heads, weights, 240)
        x, y = points[42:48].mean(0).astype(int)
        return picture[y - 2 : y + 3, x - 3 : x + 4].reshape(-1, 3)

    opened, closed = eye({}), eye({"eyeBlinkLeft": 1.0})
    assert np.median(closed[:, 0] / closed[:, 2]) > 1.2  # skin is red
    assert np.abs(opened.mean(0) - closed.mean(0)).max() > 0.05


def test_expressions_are_in_range_and_do_not_contradict():
    many = random_expressions(400, np.random.default_rng(1))
    assert many.min() >= 0 and many.max() <= 1
    index = EXPRESSION_NAMES.index
    for a, b in OPPOSITES:
        assert (np.minimum(many[:, index(a)], many[:, index(b)]) <= 0.0801).all(), (a, b)
    assert (many[:, index("mouthClose")] <= many[:, index("jawOpen")] + 1e-6).all()
    assert ((many > 0.3).mean(0) > 0.005).all()  # every shape is seen
    wink = np.abs(many[:, index("eyeBlinkLeft")] - many[:, index("eyeBlinkRight")]) > 0.5
    assert wink.mean() > 0.01


def test_a_mask_hides_the_mouth():
    covered = behind_mask(np.ones((2, len(EXPRESSION_NAMES)), np.float32))
    assert (
        covered[0, EXPRESSION_NAMES.index("mouthSmileLeft")] == 0
        and covered[0, EXPRESSION_NAMES.index("eyeBlinkLeft")] == 1
    )


def test_a_pack_is_read_back(heads, tmp_path):
    rng = np.random.default_rng(2)
    made = [heads.picture(rng, 64, 1.0) for _ in range(3)]
    faces = Faces.concatenate([face for _, face in made])
    write_pack(tmp_path, "heads", [encode_jpeg(picture) for picture, _ in made], faces)
    pack = read_pack(tmp_path, tmp_path / "labels", "heads")
    assert len(pack.pictures) == 3 and pack.known.all() and not len(pack.unsure)
    np.testing.assert_array_equal(pack.faces.image, [0, 1, 2])
    np.testing.assert_allclose(pack.faces.expression, faces.expression)
    assert np.abs(pack.pictures[0].astype(int) - made[0][0]).mean() < 6
    with pytest.raises(ValueError, match="one face for each of 2"):
        write_pack(tmp_path, "heads", [b"", b""], faces)
