"""Tests of the shipped head model: symmetry, closed eyelids and lips, landmark positions."""

import numpy as np
import pytest

from mfn.structures.camera import FRONTAL, mirror_center, mirror_rotation
from mfn.structures.faces import Faces
from mfn.structures.head_model import DEFAULT_FILE, HeadModel, round_to_grid
from mfn.structures.head_model.file import read_head_file
from retarget.arkit import EXPRESSION_NAMES, MIRROR
from retarget.geometry.rotations import rotation_about

RNG = np.random.default_rng(0)
FLIP = np.array([-1, 1, 1], np.float32)
TWIN = np.array(MIRROR[: len(EXPRESSION_NAMES)])
UPPER_LID, LOWER_LID = [37, 38, 43, 44], [41, 40, 47, 46]


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


def weights(**named: float) -> np.ndarray:
    """Return expression weights (1, 51) with the named ones set."""
    out = np.zeros((1, len(EXPRESSION_NAMES)), np.float32)
    for name, value in named.items():
        out[0, EXPRESSION_NAMES.index(name)] = value
    return out


def posed(model: HeadModel, **named: float) -> np.ndarray:
    """Return the vertices (V, 3) of the mean head with the named expressions."""
    return model.vertices(np.zeros((1, model.identity_size), np.float32), weights(**named))[0]


def some_faces(model: HeadModel, count: int) -> Faces:
    turn = rotation_about("y", RNG.uniform(-1, 1, count)) @ rotation_about("z", RNG.uniform(-1, 1, count))
    return Faces(
        image=np.zeros(count),
        box=np.zeros((count, 4)),
        score=np.ones(count),
        rotation=FRONTAL @ turn,
        scale=RNG.uniform(100, 2000, count),
        center=RNG.uniform(0, 500, (count, 2)),
        identity=RNG.standard_normal((count, model.identity_size)),
        expression=RNG.uniform(0, 1, (count, len(EXPRESSION_NAMES))),
        track=np.full(count, -1),
    )


def test_the_file_is_small_and_has_no_pickles():
    assert DEFAULT_FILE.stat().st_size <= 3_000_000
    with np.load(DEFAULT_FILE, allow_pickle=False) as file:
        assert file["identity"].dtype == np.int16 and file["expression"].dtype == np.int16


def test_shapes(model):
    count = len(model.mean)
    assert 2000 <= count <= 4000
    assert model.identity_basis.shape == (model.identity_size, count, 3)
    assert model.expression_basis.shape == (51, count, 3)
    assert model.triangles.dtype == np.int32 and model.triangles.min() == 0 and model.triangles.max() == count - 1
    assert {"face", "lids", "lips", "brows", "ears", "scalp", "neck", "iris", "pupil", "teeth"} <= set(
        model.region_names
    )
    assert model.mediapipe478_spread.shape == (478,) and (model.mediapipe478_spread > 0).all()
    assert model.explained_variance >= 0.995


def test_mean_and_expressions_mirror(model):
    assert (model.mirror[model.mirror] == np.arange(len(model.mirror))).all()
    assert np.abs(model.mean[model.mirror] * FLIP - model.mean).max() < 1e-7
    mirrored = model.expression_basis[TWIN][:, model.mirror] * FLIP
    assert np.abs(mirrored - model.expression_basis).max() < 2e-6  # the largest quantization step
    assert (model.region_names[model.region[0]] == model.region_names[model.region[model.mirror[0]]]) is True


def test_triangles_are_symmetric(model):
    mirrored = model.mirror[model.triangles][:, ::-1]

    def rolled(triangles: np.ndarray) -> set[tuple[int, ...]]:
        return {tuple(np.roll(t, -int(t.argmin())).tolist()) for t in triangles}

    assert rolled(mirrored) == rolled(model.triangles)


def test_identity_mirror_signs(model):
    mirrored = model.identity_basis[:, model.mirror] * FLIP
    signed = model.identity_basis * model.identity_mirror[:, None, None]
    assert set(np.unique(model.identity_mirror)) == {-1.0, 1.0}
    assert np.abs(mirrored - signed).max() < 2e-6


def test_mirrored_face_mirrors_its_landmarks(model):
    faces, width = some_faces(model, 4), 640.0
    other = Faces(
        image=faces.image,
        box=faces.box,
        score=faces.score,
        rotation=mirror_rotation(faces.rotation),
        scale=faces.scale,
        center=mirror_center(faces.center, width),
        identity=faces.identity * model.identity_mirror,
        expression=faces.expression[:, TWIN],
        track=faces.track,
    )
    left, right = model.landmarks(faces, "ibug68"), model.landmarks(other, "ibug68")
    assert np.allclose(
        right[:, 27:31, 0], width - left[:, 27:31, 0], atol=0.05
    )  # the bridge of the nose lies on the midline
    assert np.allclose(right[:, 16::-1, 0], width - left[:, :17, 0], atol=0.05)
    assert np.allclose(right[:, 16::-1, 1:], left[:, :17, 1:], atol=0.05)


def test_the_origin_is_between_the_eyes_for_every_identity(model):
    for side, sign in (("eyeball_left", 1), ("eyeball_right", -1)):
        assert (model.mean[model.region_mask(side), 0] * sign > 0).all()
    eyes = model.region_mask("eyeball_left", "eyeball_right", "iris", "pupil")
    one = model.mean[eyes & (model.mean[:, 0] > 0)].astype(np.float64)
    center = np.linalg.lstsq(np.c_[2 * one, np.ones(len(one))], (one**2).sum(1), rcond=None)[0][:3]
    assert 0.025 < center[0] < 0.036 and np.abs(center[1:]).max() < 1e-5  # the other eye is its mirror image
    moved = model.identity_basis[:, eyes].mean(1)
    assert np.abs(moved).max() < 3e-4


def test_landmark_positions_are_plausible(model):
    for name, count in (("ibug68", 68), ("photo68", 68), ("mediapipe478", 478), ("dense520", 520)):
        mean, identity, expression = model.landmark_basis(name)
        assert mean.shape == (count, 3) and identity.shape == (model.identity_size, count, 3)
        assert np.isfinite(mean).all() and np.isfinite(identity).all() and np.isfinite(expression).all()
        vertex, weight = model.landmark_sets[name]
        assert np.allclose(weight.sum(1), 1, atol=1e-5) and (weight >= -1e-6).all() and vertex.max() < len(model.mean)
    points = model.landmark_basis("ibug68")[0]
    assert points[:, 2].argmax() in (30, 33) and points[:, 1].argmin() == 8  # nose tip in front, chin below
    assert points[16, 0] > 0.05 and points[0, 0] < -0.05  # 0 is the subject's right
    assert points[36:42, 0].max() < 0 < points[42:48, 0].min()
    assert points[17:27, 1].min() > points[36:48, 1].max() and points[48:68, 1].max() < points[31:36, 1].min()
    assert np.allclose(model.landmark_basis("dense520")[0][:68], points)
    mediapipe = model.landmark_basis("mediapipe478")[0]
    assert mediapipe[473, 0] > 0.02 and mediapipe[468, 0] < -0.02  # left and right iris
    assert np.linalg.norm(mediapipe[4] - points[30]) < 0.01 and np.linalg.norm(mediapipe[152] - points[8]) < 0.015


def test_learned_points_are_those_of_ict_but_for_the_jaw_line(model):
    ict, photo = (model.landmark_basis(name)[0] for name in ("ibug68", "photo68"))
    apart = np.linalg.norm(ict - photo, axis=1)
    assert apart[17:].max() < 0.012 and 0.005 < apart[:17].mean() < 0.03
    assert np.allclose(photo[16::-1][:, 0], -photo[:17, 0], atol=1e-4) and np.allclose(photo[27:31, 0], 0, atol=1e-4)
    assert photo[:, 1].argmin() == 8 and (np.diff(photo[:9, 0]) > 0).all()


def test_learned_points_belong_to_one_mesh(tmp_path, head_model):
    with np.load(DEFAULT_FILE, allow_pickle=False) as file:
        arrays = dict(file)
    arrays["mean"] = np.concatenate([arrays["mean"], arrays["mean"][:1]])
    np.savez(tmp_path / "other.npz", **arrays)
    assert "photo68" in head_model.landmark_sets
    assert "photo68" not in read_head_file(tmp_path / "other.npz")["landmark_sets"]


def test_dense_points_are_distinct(model):
    mean = model.landmark_basis("dense520")[0]
    gaps = np.linalg.norm(mean[:, None] - mean[None], axis=2) + np.eye(len(mean))
    assert (gaps.min(1)[68:] > 5e-4).all()


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_eyelids_close_with_a_blink(model, side):
    rows = slice(2, 4) if side == "Left" else slice(0, 2)
    upper, lower = UPPER_LID[rows], LOWER_LID[rows]
    points = model.points(posed(model, **{f"eyeBlink{side}": 1.0}), "ibug68")
    neutral = model.points(model.mean, "ibug68")
    assert (neutral[upper, 1] - neutral[lower, 1] > 0.006).all()
    assert (np.abs(points[upper, 1] - points[lower, 1]) < 0.001).all()
    other = [i for i in UPPER_LID if i not in upper]
    assert np.abs(points[other] - neutral[other]).max() < 0.0015  # the other eye stays open


def test_closed_eyelids_cover_the_eyeball(model):
    vertices = posed(model, eyeBlinkLeft=1.0)
    left = model.mean[:, 0] > 0
    lids = np.flatnonzero(model.region_mask("lids") & left)
    center = np.array([np.abs(model.mean[model.region_mask("pupil") & left, 0].mean()), 0, 0])
    margins = lids[28:56]  # the second ring is the margin of the eyelid
    pupil = vertices[model.region_mask("pupil") & left]
    reach = np.linalg.norm(pupil - center, axis=1).max()
    assert (np.linalg.norm(vertices[margins] - center, axis=1) > reach - 0.0015).all()


def test_lips_touch_at_rest_and_separate_with_the_jaw(model):
    def gap(vertices: np.ndarray) -> np.ndarray:
        points = model.points(vertices, "ibug68")
        return points[61:64, 1] - points[[67, 66, 65], 1]

    assert np.abs(gap(model.mean)).max() < 0.001
    for _ in range(5):  # for other identities than the mean too
        someone = model.vertices(RNG.standard_normal((1, model.identity_size)), weights())[0]
        assert np.abs(gap(someone)).max() < 0.0015
    assert gap(posed(model, jawOpen=1.0)).min() > 0.02
    assert np.abs(gap(posed(model, jawOpen=1.0, mouthClose=1.0))).max() < 0.002


@pytest.mark.parametrize(
    "name, axis, sign",
    [("eyeLookOutLeft", 0, 1), ("eyeLookInLeft", 0, -1), ("eyeLookOutRight", 0, -1), ("eyeLookInRight", 0, 1),
     ("eyeLookUpLeft", 1, 1), ("eyeLookDownLeft", 1, -1), ("eyeLookUpRight", 1, 1), ("eyeLookDownRight", 1, -1)],
)  # fmt: skip
def test_eyes_rotate_in_the_right_direction(model, name, axis, sign):
    iris = 473 if name.endswith("Left") else 468
    moved = model.landmark_basis("mediapipe478")[2][EXPRESSION_NAMES.index(name), iris]
    assert moved[axis] * sign > 0.004
    other = model.landmark_basis("mediapipe478")[2][EXPRESSION_NAMES.index(name), 941 - iris]
    assert np.abs(other).max() < 1e-4


def test_left_is_the_subjects_left(model):
    shapes = model.landmark_basis("ibug68")[2]
    smile = shapes[EXPRESSION_NAMES.index("mouthSmileLeft")]
    assert np.linalg.norm(smile[54]) > 4 * np.linalg.norm(smile[48])
    assert shapes[EXPRESSION_NAMES.index("jawLeft"), 8, 0] > 0.003
    assert shapes[EXPRESSION_NAMES.index("mouthLeft"), 57, 0] > 0.003


def test_many_faces_at_once_equal_one_by_one_in_any_order(model):
    faces = some_faces(model, 5)
    together = model.vertices(faces.identity, faces.expression)
    landmarks = model.landmarks(faces, "dense520")
    for i in range(5):
        assert np.allclose(
            model.vertices(faces.identity[i : i + 1], faces.expression[i : i + 1])[0], together[i], atol=1e-6
        )
        assert np.allclose(model.landmarks(faces[[i]], "dense520")[0], landmarks[i], atol=1e-2)
    assert np.allclose(model.landmarks(faces[[3, 1]], "dense520"), landmarks[[3, 1]], atol=1e-2)


def test_landmarks_are_projected_vertices(model):
    faces = some_faces(model, 3)
    points = model.points(model.vertices(faces.identity, faces.expression), "mediapipe478")
    slow = np.einsum("n,nij,nlj->nli", faces.scale, faces.rotation, points)
    slow[..., :2] += faces.center[:, None]
    assert np.allclose(model.landmarks(faces, "mediapipe478"), slow, atol=0.02)


def test_empty(model):
    faces = Faces.empty(model.identity_size)
    assert model.vertices(faces.identity, faces.expression).shape == (0, len(model.mean), 3)
    assert model.landmarks(faces, "ibug68").shape == (0, 68, 3)


def test_the_uv_map_is_one_to_one(model):
    inside = (model.uv >= 0).all(1)
    assert inside[model.region_mask("face", "lids", "lips", "brows", "ears")].all()
    assert (model.uv[inside] <= 1).all() and (model.uv[~inside] == -1).all()
    corners = model.uv[model.triangles[inside[model.triangles].all(1)]]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    assert (area < 0).all() or (area > 0).all()


def test_the_position_map_contains_the_mesh(model):
    size = 128
    position, mask = model.position_map(model.mean, size)
    assert position.shape == (size, size, 3) and 0.5 < mask.mean() < 0.95
    nose = int(model.mean[:, 2].argmax())
    column, row = (model.uv[nose] * size).astype(int)
    assert np.linalg.norm(position[row, column] - model.mean[nose]) < 0.004
    assert (position[~mask] == 0).all()


def test_there_are_no_thin_triangles(model):
    corners = model.mean[model.triangles].astype(np.float64)
    edges = corners[:, [1, 2, 0]] - corners
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    quality = 4 * np.sqrt(3) * area / (edges**2).sum((1, 2))
    front = model.region_mask("face", "brows")[model.triangles].all(1)
    assert quality[front].min() > 0.2 and np.median(quality[front]) > 0.85


def test_the_quantization_error_is_half_a_step():
    basis = RNG.standard_normal((4, 50, 3)).astype(np.float32) * np.array([1e-5, 1e-2, 1, 0])[:, None, None]
    counts, step = round_to_grid(basis)
    assert counts.dtype == np.int16
    assert (np.abs(counts * step[:, None, None] - basis).max((1, 2)) <= step * 0.51).all()


def test_wrong_input_raises_a_helpful_error(model, tmp_path):
    with pytest.raises(FileNotFoundError, match="head_model"):
        HeadModel.load(tmp_path / "none.npz")
    for content in (b"not a zip", DEFAULT_FILE.read_bytes()[:50_000]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ValueError, match="not a head model"):
            HeadModel.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="not a head model"):
        HeadModel.load(tmp_path / "other.npz")
    with pytest.raises(ValueError, match="expected shape"):
        model.vertices(np.zeros((2, 3)), np.zeros((2, 51)))
    with pytest.raises(ValueError, match="expected a landmark set"):
        model.landmark_basis("ibug70")
    with pytest.raises(ValueError, match="expected regions among"):
        model.region_mask("ear")
