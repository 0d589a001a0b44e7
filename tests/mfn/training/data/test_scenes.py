import numpy as np
import pytest

from mfn.structures.camera import project, rotation_from_euler
from mfn.structures.cells import rotation_from_rows
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.training.data.augment import directional_light, occlude
from mfn.training.data.packs import Pack
from mfn.training.data.sampling import yaw_weights
from mfn.training.data.scenes import SCENE_KINDS, Scene, SceneComposer, join_tiles
from mfn.training.data.warp import similarity_matrix, warp_faces
from retarget.arkit import EXPRESSION_NAMES

pytest.importorskip("cv2")
MODEL = HeadModel.load()


def box_of(faces: Faces) -> np.ndarray:
    points = MODEL.landmarks(faces, "ibug68")[..., :2]
    return np.concatenate([points.min(1), points.max(1)], 1)


def some_faces(count: int, seed: int = 0) -> Faces:
    rng = np.random.default_rng(seed)
    frontal = np.array([1, 0, 0, 0, -1, 0.0])
    faces = Faces(
        image=np.arange(count),
        box=np.zeros((count, 4)),
        score=np.ones(count),
        rotation=rotation_from_rows(frontal + 0.3 * rng.normal(size=(count, 6)), np),
        scale=rng.uniform(300, 600, count),
        center=rng.uniform(80, 120, (count, 2)),
        identity=rng.normal(size=(count, MODEL.identity_size)),
        expression=rng.uniform(0, 0.6, (count, len(EXPRESSION_NAMES))),
        track=np.full(count, -1),
    )
    return faces.replace(box=box_of(faces))


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize("angle", [0.0, 0.6, -2.0])
def test_labels_follow_the_picture(angle):
    faces = some_faces(5)
    matrix = similarity_matrix(1.7, angle, np.array([90.0, 110.0]), np.array([200.0, 150.0]), False, 200)
    after = warp_faces(faces, matrix, MODEL.identity_mirror, np.ones(5, bool), box_of)
    before = MODEL.landmarks(faces, "dense520")[..., :2]
    np.testing.assert_allclose(MODEL.landmarks(after, "dense520")[..., :2], moved(before, matrix), atol=0.02)
    np.testing.assert_allclose(after.box, box_of(after))


def test_a_mirrored_wink_changes_sides():
    wink = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    wink[0, EXPRESSION_NAMES.index("eyeBlinkLeft")] = 1
    faces = some_faces(1).replace(expression=wink)
    matrix = similarity_matrix(1.0, 0.0, np.zeros(2), np.zeros(2), True, 200)
    after = warp_faces(faces, matrix, MODEL.identity_mirror, np.ones(1, bool), box_of)
    assert EXPRESSION_NAMES[int(after.expression[0].argmax())] == "eyeBlinkRight"


def test_mirrored_heads_lie_on_the_mirrored_picture():
    faces = some_faces(4)
    matrix = similarity_matrix(0.8, 0.3, np.array([100.0, 100.0]), np.array([90.0, 120.0]), True, 200)
    after = warp_faces(faces, matrix, MODEL.identity_mirror, np.ones(4, bool), box_of)
    vertices = [MODEL.vertices(f.identity, f.expression) for f in (faces, after)]
    px = [project(v, f.rotation, f.scale, f.center)[..., :2] for f, v in zip((faces, after), vertices)]
    np.testing.assert_allclose(px[1][:, MODEL.mirror], moved(px[0], matrix), atol=0.25)  # the file is quantised


def test_mirroring_twice_is_the_identity():
    faces = some_faces(3)
    matrix = similarity_matrix(1.0, 0.0, np.array([70.0, 90.0]), np.array([70.0, 90.0]), True, 140)
    known = np.ones(3, bool)
    again = warp_faces(warp_faces(faces, matrix, MODEL.identity_mirror, known, box_of), matrix, MODEL.identity_mirror, known, box_of)
    for name in ("rotation", "scale", "center", "identity", "expression", "box"):
        np.testing.assert_allclose(getattr(again, name), getattr(faces, name), rtol=1e-4, atol=1e-3, err_msg=name)


def test_similarity_puts_the_pivot_where_asked():
    matrix = similarity_matrix(2.0, 1.0, np.array([150.0, 30.0]), np.array([7.0, 8.0]), True, 200)
    np.testing.assert_allclose(moved(np.array([[50.0, 30.0]]), matrix), [[7, 8]], atol=1e-9)


def spot_pack() -> Pack:
    """Gray pictures in which each "face" is a white square that fills its box."""
    pictures, boxes = [], []
    for _ in range(6):
        picture = np.full((200, 220, 3), 60, np.uint8)
        picture[70:130, 80:140] = 255
        pictures.append(picture)
        boxes.append([80, 70, 140, 130])
    faces = some_faces(6).replace(box=np.array(boxes, np.float32), image=np.arange(6))
    return Pack("spots", pictures, faces, np.zeros(6, bool), np.zeros((0, 4), np.float32), np.zeros(0, np.int32))


def test_scenes_hold_their_faces_where_they_say():
    composer = SceneComposer([spot_pack()], [1.0], [np.full((300, 300, 3), 20, np.uint8)], MODEL.identity_mirror, box_of, 256)
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
    composer = SceneComposer([spot_pack()], [1.0], [np.full((300, 300, 3), 20, np.uint8)], MODEL.identity_mirror, box_of, 128)
    a, b = (composer.compose(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(a.faces.box, b.faces.box)


def test_kinds_are_a_distribution():
    assert sum(kind.share for kind in SCENE_KINDS.values()) == pytest.approx(1)


def test_a_sheet_is_its_tiles_side_by_side():
    rng = np.random.default_rng(2)
    box = np.array([[4, 6, 20, 30]], np.float32)
    tiles = []
    for number in range(4):
        face = some_faces(1, number).replace(box=box, center=np.array([[12.0, 15.0]]))
        picture = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        tiles.append(Scene(picture, face, np.array([number % 2 == 0]), box + number))
    sheet = join_tiles(list(tiles), 2)
    for number, tile in enumerate(tiles):
        x, y = 64 * (number % 2), 64 * (number // 2)
        np.testing.assert_array_equal(sheet.picture[y : y + 64, x : x + 64], tile.picture)
        np.testing.assert_allclose(sheet.faces.box[number], [4 + x, 6 + y, 20 + x, 30 + y])
        np.testing.assert_allclose(sheet.faces.center[number], [12 + x, 15 + y])
        np.testing.assert_allclose(sheet.ignore_box[number], np.array([4 + x, 6 + y, 20 + x, 30 + y]) + number)
    assert sheet.has_labels.tolist() == [True, False, True, False]


def test_what_lies_before_a_face_hides_some_of_it_in_place():
    canvas, photo = np.zeros((90, 80, 3), np.uint8), np.full((50, 40, 3), 200, np.uint8)
    for seed in range(30):
        canvas[:] = 0
        occlude(canvas[20:70, 10:50], photo, np.random.default_rng(seed))
        inside = canvas[20:70, 10:50] == 200
        assert 0 < inside.mean() < 0.37 and canvas.sum() == 200 * inside.sum()


def test_weights_must_match_packs():
    with pytest.raises(ValueError, match="one weight for each"):
        SceneComposer([], [], [], MODEL.identity_mirror, box_of)


def test_light_from_aside_is_stronger_on_one_side():
    gray = np.full((40, 60, 3), 100, np.uint8)
    for seed in range(8):
        lit = directional_light(gray, np.random.default_rng(seed))
        assert lit.shape == gray.shape and lit.dtype == np.uint8 and (gray == 100).all()
        edges = [lit[:, 0].mean(), lit[:, -1].mean(), lit[0].mean(), lit[-1].mean()]
        assert min(edges) < 95 and max(edges) > 105 and lit.min() >= 45 and lit.max() <= 220
        assert abs(int(lit[20, 30, 0]) - 100) < 6, "the middle stays"


def test_faces_turned_aside_are_drawn_more_often_and_nodding_or_tilted_ones_are_not():
    angles = np.radians([[0, 0, 0], [40, 0, 0], [0, 10, 70], [0, 25, 0], [0, -25, 0], [20, 35, 0], [0, -88, 10]])
    np.testing.assert_allclose(yaw_weights(rotation_from_euler(angles)), [1, 1, 1, 2.5, 2.5, 4, 4], atol=0.01)
