"""Tests of `Faces`: files, indexing, checks, conversions."""

import copy
import json
import pickle
import sys
from contextlib import nullcontext as does_not_raise

import numpy as np
import pytest

from mfn.structures.camera import rotation_from_euler
from mfn.structures.faces import FIELD_NAMES, Faces
from mfn.structures.faces_files import PictureInfo
from retarget.arkit import EXPRESSION_NAMES


def some_faces(count: int, identity_size: int = 5, seed: int = 0) -> Faces:
    """Return frontal faces with random boxes, identities and expressions."""
    random = np.random.default_rng(seed)
    return Faces(
        image=np.arange(count),
        box=random.normal(size=(count, 4)) * 100,
        score=random.random(count),
        rotation=np.tile(np.diag([1.0, -1.0, -1.0]), (count, 1, 1)),
        scale=random.random(count) + 100,
        center=random.random((count, 2)),
        identity=random.normal(size=(count, identity_size)),
        expression=random.random((count, 51)),
        track=np.full(count, -1),
        refined=np.arange(count) % 2 == 0,
    )


def equal(a: Faces, b: Faces, tolerance: float = 0) -> bool:
    """Return whether all arrays are equal within a tolerance."""
    pairs = [(getattr(a, n), getattr(b, n)) for n in FIELD_NAMES]
    return all(p.shape == q.shape and np.allclose(p, q, rtol=tolerance, atol=tolerance) for p, q in pairs)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_saved_faces_are_loaded_unchanged(tmp_path, count):
    faces = some_faces(count)
    faces.save(tmp_path / "a.npz")
    assert equal(Faces.load(tmp_path / "a.npz"), faces)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]  # no temporary file
    assert equal(Faces.from_json(faces.to_json()), faces, tolerance=1e-6)


def test_faces_of_older_files_are_not_refined(tmp_path):
    faces = some_faces(3)
    np.savez(tmp_path / "old.npz", **{name: getattr(faces, name) for name in FIELD_NAMES if name != "refined"})
    text = json.loads(faces.to_json())
    for row in text["faces"]:
        del row["refined"]
    for old in (Faces.load(tmp_path / "old.npz"), Faces.from_json(json.dumps(text))):
        assert old.refined.tolist() == [False] * 3 and len(old) == 3


def test_dtypes_are_float32_and_int32():
    faces = some_faces(2)
    assert faces.refined.dtype == np.bool_
    assert faces.image.dtype == faces.track.dtype == np.int32
    assert {getattr(faces, n).dtype for n in ("box", "score", "rotation", "expression")} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (np.array([True, False, True]), [0, 2]),
        ([2, 0], [2, 0]),
        (slice(1, None), [1, 2]),
        (1, [1]),
        (-1, [2]),
        ([], []),
        (np.zeros(3, bool), []),
    ],
)
def test_indexing_returns_faces(rows, expected):
    assert some_faces(3)[rows].image.tolist() == expected


def test_iteration_stops_after_the_last_face():
    assert [len(face) for face in some_faces(3)] == [1, 1, 1]
    with pytest.raises(IndexError):
        some_faces(3)[3]


def test_permuted_rows_permute_every_array():
    faces, order = some_faces(5), [4, 2, 0, 1, 3]
    assert equal(Faces.concatenate([faces[i] for i in order]), faces[order])


def test_concatenate_of_nothing_and_of_empty_parts():
    assert len(Faces.concatenate([])) == 0
    assert len(Faces.concatenate([Faces.empty(3), Faces.empty(3)])) == 0
    assert Faces.concatenate([Faces.empty(3)]).identity.shape == (0, 3)
    assert equal(Faces.concatenate([Faces.empty(0), some_faces(2)]), some_faces(2))
    with pytest.raises(ValueError, match=r"identity sizes \[3, 5\]"):
        Faces.concatenate([some_faces(1, 3), some_faces(1, 5)])


@pytest.mark.parametrize(
    ("name", "value", "expectation"),
    [
        ("score", np.zeros(2), does_not_raise()),
        ("score", np.zeros(3), pytest.raises(ValueError, match=r"Faces.score: expected shape \(2\).*got \(3,\)")),
        ("rotation", np.zeros((2, 9)), pytest.raises(ValueError, match=r"Faces.rotation: expected shape \(2, 3, 3\)")),
        ("expression", np.zeros((2, 52)), pytest.raises(ValueError, match=r"\(2, 51\).*got \(2, 52\)")),
        ("identity", np.zeros((2, 0)), does_not_raise()),
        ("center", np.array([["a", "b"]] * 2), pytest.raises(ValueError, match="expected numbers")),
    ],
)
def test_shapes_are_checked(name, value, expectation):
    with expectation:
        some_faces(2).replace(**{name: value})


def test_replace_rejects_unknown_names():
    with pytest.raises(ValueError, match="Faces has no boxes"):
        some_faces(1).replace(boxes=np.zeros((1, 4)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"hello"])
def test_a_damaged_file_raises_an_error_of_one_line(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match="not a readable") as caught:
        Faces.load(tmp_path / "x.npz")
    assert "\n" not in str(caught.value)


def test_other_npz_and_missing_file(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="image, box"):
        Faces.load(tmp_path / "x.npz")
    with pytest.raises(FileNotFoundError, match="no such file"):
        Faces.load(tmp_path / "y.npz")


def test_files_of_another_format_are_refused(tmp_path):
    faces, path = some_faces(2), tmp_path / "x.npz"
    np.savez(path, format=np.int32(99), **{name: getattr(faces, name) for name in FIELD_NAMES})
    with pytest.raises(ValueError, match=r"x\.npz: format 99, this version reads 1"):
        Faces.load(path)
    with pytest.raises(ValueError, match="not faces as JSON: format 99, this version reads 1"):
        Faces.from_json(faces.to_json().replace('"format": 1', '"format": 99'))


def test_an_array_of_a_wrong_shape_names_the_file(tmp_path):
    faces, path = some_faces(2), tmp_path / "x.npz"
    np.savez(path, **{name: getattr(faces, name) for name in FIELD_NAMES if name != "score"}, score=np.zeros(5))
    with pytest.raises(ValueError, match=r"x\.npz: Faces\.score: expected shape \(2\)"):
        Faces.load(path)


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", **{n: np.array([None], object) for n in FIELD_NAMES})
    with pytest.raises(ValueError, match="not a readable"):
        Faces.load(tmp_path / "x.npz")


def test_json_has_names_and_wrong_json_raises():
    row = json.loads(some_faces(1).to_json())["faces"][0]
    assert list(row["expression"]) == list(EXPRESSION_NAMES)
    for text in ("", "[]", '{"faces": [{}]}', '{"faces": 3}'):
        with pytest.raises(ValueError, match="not faces as JSON"):
            Faces.from_json(text)


def test_the_arrays_are_copied_and_read_only():
    box = np.zeros((1, 4), np.float32)
    faces = some_faces(1).replace(box=box)
    box[:] = 7
    assert faces.box.tolist() == [[0, 0, 0, 0]]
    for part in (faces, faces[0], faces[:1], faces.replace(score=np.ones(1)), Faces.concatenate([faces, faces]), Faces.empty(3)):
        for name in FIELD_NAMES:
            with pytest.raises(ValueError, match="read-only"):
                getattr(part, name)[...] = 0


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda faces: pickle.loads(pickle.dumps(faces))])
def test_copies_and_pickles_are_equal_and_read_only(duplicate):
    faces = duplicate(some_faces(3))
    assert faces == some_faces(3)
    assert not any(getattr(faces, name).flags.writeable for name in FIELD_NAMES)


def test_faces_compare_by_value():
    faces = some_faces(3)
    assert faces == faces[:] and faces == some_faces(3) and Faces.empty(3) == Faces.empty(3)
    assert faces != faces[:2] and faces != faces[[1, 0, 2]] and faces != faces.replace(score=faces.score + 0.1)
    assert Faces.empty(3) != Faces.empty(4)
    assert faces != "faces"
    unknown = faces.replace(scale=np.full(3, np.nan))
    assert unknown == unknown[:]
    with pytest.raises(TypeError, match="unhashable"):
        hash(faces)


def test_indices_of_two_dimensions_raise():
    with pytest.raises(IndexError, match=r"got shape \(2, 2\)"):
        some_faces(3)[np.zeros((2, 2), int)]


def test_repr_is_a_summary():
    faces = some_faces(3).replace(
        image=[0, 0, 2], score=[0.5, 0.9, 0.7], box=[[0, 0, 9, 31], [0, 0, 9, 240], [0, 0, 9, 100]], track=[4, -1, 4]
    )
    assert repr(faces) == "Faces(3 faces in 2 pictures, 1 track, score 0.50 to 0.90, height 31 to 240 px)"
    assert repr(faces[0]) == "Faces(1 face in 1 picture, 1 track, score 0.50, height 31 px)"
    assert repr(Faces.empty(4)) == "Faces(no faces)"


def test_pose_in_degrees():
    angles = np.array([[10.0, -20.0, 30.0], [0.0, 0.0, 0.0]])
    faces = some_faces(2).replace(rotation=rotation_from_euler(np.deg2rad(angles)))
    np.testing.assert_allclose(faces.pitch_yaw_roll_deg, angles, atol=1e-4)
    assert Faces.empty().pitch_yaw_roll_deg.shape == (0, 3)


def test_landmarks_come_from_the_shipped_head_model(head_model):
    faces = some_faces(2, head_model.identity_size)
    np.testing.assert_array_equal(faces.landmarks(), head_model.landmarks(faces, "ibug68"))
    assert faces.landmarks("mediapipe478").shape == (2, 478, 3)
    assert Faces.empty().landmarks("dense520").shape == (0, 520, 3)
    with pytest.raises(ValueError, match=r"expected a landmark set among .*ibug68"):
        faces.landmarks("ibug86")
    with pytest.raises(ValueError, match="64 components, got 5"):
        some_faces(1, 5).landmarks()


def test_expression_of_a_name():
    faces = some_faces(3)
    np.testing.assert_array_equal(faces.expression_of("jawOpen"), faces.expression[:, EXPRESSION_NAMES.index("jawOpen")])
    with pytest.raises(ValueError, match="got 'jawopen'; did you mean 'jawOpen'"):
        faces.expression_of("jawopen")


def test_to_dict_equals_the_json_content():
    faces = some_faces(2)
    data = faces.to_dict(PictureInfo("crowd.jpg", 640, 480))
    assert data["picture"] == "crowd.jpg" and (data["width"], data["height"]) == (640, 480)
    assert json.loads(faces.to_json()) == {k: v for k, v in data.items() if k not in ("picture", "width", "height")}
    assert data["faces"][1]["pose_deg"] == {"pitch": 0.0, "yaw": 0.0, "roll": 0.0}
    assert equal(Faces.from_json(faces.to_json(PictureInfo("crowd.jpg", 640, 480))), faces, tolerance=1e-6)
    assert Faces.from_json(Faces.empty(7).to_json()) == Faces.empty(7)


def test_to_pandas_has_one_row_for_each_face():
    pytest.importorskip("pandas")
    faces = some_faces(3)
    table = faces.to_pandas()
    assert len(table) == 3 and list(table.columns)[:7] == ["image", "track", "score", "x1", "y1", "x2", "y2"]
    np.testing.assert_array_equal(table["jawOpen"], faces.expression_of("jawOpen"))
    np.testing.assert_array_equal(table["x2"], faces.box[:, 2])
    table.loc[0, "x2"] = 3.0  # the table owns its data
    assert len(Faces.empty().to_pandas()) == 0


def test_to_supervision_returns_detections(monkeypatch):
    class Detections:
        def __init__(self, **arrays) -> None:
            self.__dict__.update(arrays)

    monkeypatch.setitem(sys.modules, "supervision", type("supervision", (), {"Detections": Detections}))
    faces = some_faces(2)
    detections = faces.to_supervision()
    np.testing.assert_array_equal(detections.xyxy, faces.box)
    assert detections.class_id.tolist() == [0, 0] and detections.tracker_id is None
    np.testing.assert_array_equal(detections.data["expression"], faces.expression)
    assert faces.replace(track=[3, 5]).to_supervision().tracker_id.tolist() == [3, 5]


@pytest.mark.parametrize(("method", "library"), [("to_pandas", "pandas"), ("to_supervision", "supervision")])
def test_the_error_names_a_missing_library(monkeypatch, method, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=f"{method} needs {library}: pip install {library}"):
        getattr(some_faces(1), method)()
