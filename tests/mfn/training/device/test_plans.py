"""Plans of scenes and crops: the labels lie where the pixels go."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.structures.camera import project  # noqa: E402
from mfn.structures.faces import Faces  # noqa: E402
from mfn.training.device.crop_plans import CropPlanner  # noqa: E402
from mfn.training.device.face_library import MAX_WEIGHT, FaceLibrary, shape_weights  # noqa: E402
from mfn.training.device.scene_plans import LOG_SQUEEZE, MIN_FACE_PX, Grid, ScenePlanner  # noqa: E402
from mfn.training.packs.reader import Pack  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402
from tests.helpers.training import MODEL, random_faces  # noqa: E402

SIZES = np.array([[80, 60], [100, 100]])


def library() -> FaceLibrary:
    """Three pictures with one labeled face each, and one with two hand-drawn boxes and an ignore region."""
    labeled = random_faces(3).replace(image=np.arange(3))
    labeled = labeled.replace(box=MODEL.boxes(labeled))
    side = int(labeled.box[:, 2:].max()) + 20
    plain = random_faces(2, seed=1).replace(image=np.zeros(2), box=np.array([[5, 5, 25, 30], [40, 10, 60, 35]]))
    empty = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
    ignored = np.array([[62, 2, 78, 20]]), np.zeros(1, np.int32)
    packs = [
        Pack("labeled", [np.zeros((side, side, 3), np.uint8)] * 3, labeled, np.ones(3, bool), *empty),
        Pack("boxes", [np.zeros((50, 80, 3), np.uint8)], plain, np.zeros(2, bool), *ignored, True),
    ]
    return FaceLibrary(packs, [3.0, 1.0])


def test_the_library_is_sorted_by_picture():
    faces = library()
    assert len(faces.pictures) == 4 and faces.faces.image.tolist() == [0, 1, 2, 3, 3]
    assert faces.first_face.tolist() == [0, 1, 2, 3, 5] and faces.ignore_image.tolist() == [3]


def test_packs_are_drawn_by_their_weights():
    faces = library()
    drawn = faces.draw(4000, np.random.default_rng(0))
    assert abs((drawn >= 3).mean() - 0.25) < 0.03


def test_a_restricted_library_draws_only_what_is_left():
    faces = library()
    only = faces.restrict(np.array([False, True, False, False, False]))
    assert set(only.draw(50, np.random.default_rng(0))) == {1} and faces.weights[0] > 0
    with pytest.raises(ValueError, match="sources: expected faces to train with"):
        faces.restrict(np.zeros(5, bool))


def test_rare_shapes_and_winks_weigh_more():
    expression = np.zeros((200, 51), np.float32)
    expression[:100, EXPRESSION_NAMES.index("mouthSmileLeft")] = 0.8  # common
    expression[100, EXPRESSION_NAMES.index("jawLeft")] = 0.8  # rare
    expression[101, EXPRESSION_NAMES.index("eyeBlinkLeft")] = 0.9  # a wink
    weights = shape_weights(expression)
    assert weights[0] == 1 and weights[150] == 1 and weights[100] > 3 and weights[101] > 3 and weights.max() <= MAX_WEIGHT
    assert shape_weights(np.zeros((0, 51), np.float32)).shape == (0,)


def scene_planner(**kwargs) -> ScenePlanner:
    return ScenePlanner(library(), SIZES, MODEL.identity_mirror, MODEL.boxes, 128, **kwargs)


def test_faces_of_a_plan_lie_in_their_scenes():
    grids = (Grid(0.5, 1, 20, 100), Grid(0.25, 2, 12, 50), Grid(0.25, 4, 9, 30))
    plan = scene_planner(grids=grids).plan(8, np.random.default_rng(0))
    assert [len(tiles.picture) for tiles in plan.tiles] == [4, 2 * 4, 2 * 16]
    box, image = plan.faces["box"], plan.faces["image"]
    assert len(box) and (box[:, :2] >= 0).all() and (box[:, 2:] <= 128).all()
    assert ((box[:, 2:] - box[:, :2]).prod(1) >= MIN_FACE_PX**2).all()
    assert (image.diff() >= 0).all() and image.min() >= 0 and image.max() < 8
    assert len(plan.faces["ignore_box"]) == len(plan.faces["ignore_image"])


def test_scenes_of_hand_drawn_boxes_are_known():
    grids = (Grid(0.75, 1, 20, 60), Grid(0.25, 2, 12, 30))
    seen = set()
    for seed in range(6):
        plan = scene_planner(grids=grids).plan(16, np.random.default_rng(seed))
        labeled = set(plan.faces["image"][plan.faces["has_labels"]].tolist())
        with_boxes = set(plan.faces["image"][~plan.faces["has_labels"]].tolist())
        drawn = set(plan.faces["hand_drawn"].nonzero()[:, 0].tolist())
        assert len(plan.faces["hand_drawn"]) == 16 and not drawn & labeled and drawn >= with_boxes - labeled - set(range(12, 16))
        seen |= {len(drawn) > 0}
    assert True in seen


def test_landmarks_move_with_the_pixels():
    """The landmarks of a planned face, mapped back into the picture, are those of the face in the picture."""
    planner = scene_planner(grids=(Grid(1.0, 1, 60, 100),))
    source, compared = planner.library.faces, 0
    for seed in range(12):
        plan = planner.plan(1, np.random.default_rng(seed))
        picture, matrix = int(plan.tiles[0].picture[0]), plan.tiles[0].matrix[0].numpy()
        if picture == 3 or not len(plan.faces["box"]):
            continue
        face = as_faces(plan.faces)
        mirrored = np.linalg.det(matrix[:, :2]) < 0
        points = MODEL.landmarks(face, "ibug68")[0, :, :2] @ matrix[:, :2].T + matrix[:, 2]
        expected = MODEL.landmarks(source[[picture]], "ibug68")[0, :, :2]
        expected = expected[mirror68()] if mirrored else expected
        size = np.ptp(expected, axis=0).max()
        assert np.abs(points - expected).max() < 0.02 * size
        compared += 1
    assert compared >= 5


def test_only_pictures_with_hand_drawn_boxes_are_squeezed_and_the_boxes_follow():
    planner = scene_planner(grids=(Grid(1.0, 1, 20, 60),))
    face = planner.library.faces[np.repeat([0, 3], 200)]  # a labeled face, and one with a hand-drawn box
    straight = np.tile(np.array([[2.0, 0, 5], [0, 2.0, 7]]), (400, 1, 1))
    squeezed = planner._squeeze(straight, face, np.random.default_rng(0))
    aspect = squeezed[:, 0, 0] / squeezed[:, 1, 1]
    assert (aspect[:200] == 1).all() and np.linalg.det(squeezed[:, :, :2]) == pytest.approx(4.0)
    changed = aspect[200:] != 1
    assert 0.3 < changed.mean() < 0.5 and np.abs(np.log(aspect)).max() < LOG_SQUEEZE
    middle = (face.box[:, :2] + face.box[:, 2:]) / 2
    for matrix in (straight, squeezed):  # the middle of the face stays where it was
        assert np.einsum("nij,nj->ni", matrix[:, :, :2], middle) + matrix[:, :, 2] == pytest.approx(2 * middle + [5, 7], abs=1e-3)
    moved, labels, owner = planner._move(np.repeat([0, 3], 200), squeezed, np.zeros(400, bool))
    side = moved.box[~labels][:, 2:] - moved.box[~labels][:, :2]
    source = planner.library.faces[3:5].box[:, 2:] - planner.library.faces[3:5].box[:, :2]
    expected = np.einsum("nij,nj->ni", squeezed[200:, :, :2].repeat(2, 0), np.tile(source, (200, 1)))
    assert side == pytest.approx(expected, rel=1e-3)
    tiles = planner.plan(64, np.random.default_rng(0)).tiles[0]
    stretch = np.linalg.svd(tiles.matrix[:, :, :2].numpy(), compute_uv=False)
    changed, drawn = stretch[:, 0] / stretch[:, 1] > 1.01, tiles.picture.numpy() == 3
    assert changed[drawn].any() and not changed[~drawn].any() and (~drawn).any()


def test_crops_show_the_face_upright_and_centered():
    faces = library()
    planner = CropPlanner(faces.restrict(faces.large_enough(10)), SIZES, MODEL.identity_mirror, MODEL.boxes, wide_share=0.0)
    plan = planner.plan(40, np.random.default_rng(0))
    target = {name: value.numpy() for name, value in plan.target.items()}
    mean = MODEL.landmark_basis("ibug68").mean
    points = project(mean[None], target["rotation"], target["scale"], target["center"])
    center = points[..., :2].mean(1)
    assert np.abs(center - 32).max() < 20
    roll = np.arctan2(target["rotation"][:, 0, 1], -target["rotation"][:, 1, 1])
    assert np.abs(roll).std() < 0.3
    for row in range(10):
        matrix = plan.matrix[row].numpy()
        origin = matrix[:, :2] @ target["center"][row] + matrix[:, 2]
        assert np.abs(origin - faces.faces.center[int(plan.picture[row])]).max() < 1e-2


def test_a_crop_is_about_as_large_as_its_face():
    faces = library()
    planner = CropPlanner(faces.restrict(faces.large_enough(10)), SIZES, MODEL.identity_mirror, MODEL.boxes, wide_share=0.0, roll_rad=0.0)
    box = MODEL.boxes(as_faces(planner.plan(60, np.random.default_rng(1)).target))
    share = (box[:, 2:] - box[:, :2]).max(1) / 64
    assert 0.7 < np.median(share) < 0.85 and share.max() < 1.1


def as_faces(target: dict) -> Faces:
    count = len(target["scale"])
    fields = {name: target[name].numpy() for name in ("rotation", "scale", "center", "identity", "expression")}
    return Faces(
        image=np.zeros(count), box=np.zeros((count, 4)), score=np.ones(count), track=np.full(count, -1), **fields
    )


def mirror68() -> np.ndarray:
    """The order of the 68 landmarks in a mirrored picture."""
    order = np.arange(68)
    pairs = [(i, 16 - i) for i in range(8)] + [(17 + i, 26 - i) for i in range(5)] + [(31, 35), (32, 34)]
    pairs += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    for a, b in pairs:
        order[a], order[b] = b, a
    return order
