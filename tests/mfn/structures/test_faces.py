import json
from contextlib import nullcontext as does_not_raise

import numpy as np
import pytest

from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES


def some_faces(count: int, identity_size: int = 5, seed: int = 0) -> Faces:
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
    )


def equal(a: Faces, b: Faces, tolerance: float = 0) -> bool:
    pairs = [(getattr(a, n), getattr(b, n)) for n in Faces.__dataclass_fields__]
    return all(p.shape == q.shape and np.allclose(p, q, rtol=tolerance, atol=tolerance) for p, q in pairs)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_files_give_the_same_faces_back(tmp_path, count):
    faces = some_faces(count)
    faces.save(tmp_path / "a.npz")
    assert equal(Faces.load(tmp_path / "a.npz"), faces)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]  # no temporary left
    assert equal(Faces.from_json(faces.to_json()), faces, tolerance=1e-6)


def test_dtypes_are_float32_and_int32_whatever_came():
    faces = some_faces(2)
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
def test_indexing_gives_faces(rows, expected):
    assert some_faces(3)[rows].image.tolist() == expected


def test_iteration_ends():
    assert [len(face) for face in some_faces(3)] == [1, 1, 1]
    with pytest.raises(IndexError):
        some_faces(3)[3]


def test_order_permuting_rows_permutes_every_array():
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


def test_replace_knows_its_names():
    with pytest.raises(ValueError, match="Faces has no boxes"):
        some_faces(1).replace(boxes=np.zeros((1, 4)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"hello"])
def test_a_damaged_file_is_one_line(tmp_path, content):
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


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", **{n: np.array([None], object) for n in Faces.__dataclass_fields__})
    with pytest.raises(ValueError, match="not a readable"):
        Faces.load(tmp_path / "x.npz")


def test_json_is_for_people():
    row = json.loads(some_faces(1).to_json())["faces"][0]
    assert list(row["expression"]) == list(EXPRESSION_NAMES)
    for text in ("", "[]", '{"faces": [{}]}', '{"faces": 3}'):
        with pytest.raises(ValueError, match="not faces as JSON"):
            Faces.from_json(text)
