"""The `.faces.json` format: what `mfn.Faces` writes is read here, as arrays and as a take."""

from __future__ import annotations

import json

import numpy as np
import pytest

from retarget.arkit import EXPRESSION_NAMES
from retarget.performance.files import read_take
from retarget.performance.json_reader import parse_faces_document


def make_text(count=2, identity_size=3, **changes):
    """A document as `mfn detect` writes it, of faces that look straight into the camera."""
    face = {
        "image": 0,
        "box": [10.0, 20.0, 50.0, 70.0],
        "score": 0.9,
        "rotation": np.diag([1, -1, -1]).tolist(),
        "scale": 200.0,
        "center": [320.0, 240.0],
        "identity": [0.5] * identity_size,
        "track": -1,
        "expression": {name: round(k / 100, 2) for k, name in enumerate(EXPRESSION_NAMES)},
    }
    document = {"picture": "a.jpg", "width": 640, "height": 480, "format": 1, "identity_size": identity_size}
    return json.dumps({**document, "faces": [face] * count, **changes})


def test_every_field_is_read():
    document = parse_faces_document(make_text())
    shapes = {name: value.shape for name, value in document.arrays.items()}
    assert (document.width, document.height) == (640, 480)
    assert shapes == {
        "image": (2,), "box": (2, 4), "score": (2,), "rotation": (2, 3, 3), "scale": (2,), "center": (2, 2),
        "identity": (2, 3), "track": (2,), "refined": (2,), "expression": (2, 51),
    }  # fmt: skip
    assert document.arrays["expression"][1, 50] == 0.5


def test_no_faces_keep_the_size_of_the_identity():
    arrays = parse_faces_document(make_text(0, identity_size=64)).arrays
    assert arrays["identity"].shape == (0, 64) and arrays["expression"].shape == (0, 51) and arrays["box"].shape == (0, 4)


def test_it_is_a_take_too(tmp_path):
    (tmp_path / "a.faces.json").write_text(make_text(), encoding="utf-8")
    take = read_take(tmp_path / "a.faces.json")
    np.testing.assert_allclose(take.translation, [[0, 0, -1.2 * 640 / 200]] * 2, atol=1e-6)
    np.testing.assert_allclose(np.abs(take.rotation), [[0, 0, 0, 1]] * 2, atol=1e-6)
    assert take.coefficients[0, 50] == pytest.approx(0.5) and take.actor.tolist() == [0, 1]
    far = read_take(tmp_path / "a.faces.json", focal_px=3000)
    np.testing.assert_allclose(far.translation, [[0, 0, -15]] * 2, atol=1e-6)
    assert far.footage.focal_px == 3000 and read_take(tmp_path / "a.faces.json").footage.focal_px is None


def test_both_packages_place_a_face_alike(tmp_path):
    """The take that `mfn` makes of faces is the one that `retarget` reads from their file."""
    faces_to_take = pytest.importorskip("mfn.animation.bridge").faces_to_take
    faces = pytest.importorskip("mfn.structures.faces").Faces(**parse_faces_document(make_text()).arrays)
    faces = faces.replace(center=np.array([[20.0, 400.0], [600.0, 30.0]]))
    written = {"width": 640, "height": 480, **json.loads(faces.to_json())}
    (tmp_path / "a.faces.json").write_text(json.dumps(written), encoding="utf-8")
    for focal_px in (None, 900.0):
        read, made = read_take(tmp_path / "a.faces.json", focal_px=focal_px), faces_to_take(faces, (640, 480), focal_px)
        np.testing.assert_allclose(read.translation, made.translation, rtol=1e-5)
        np.testing.assert_allclose(read.rotation, made.rotation, atol=1e-5)


def test_a_picture_without_faces_is_an_empty_take(tmp_path):
    (tmp_path / "a.faces.json").write_text(make_text(0), encoding="utf-8")
    assert len(read_take(tmp_path / "a.faces.json")) == 0
    assert read_take(tmp_path / "a.faces.json").footage.known() == {"width": 640, "height": 480, "name": "a.jpg"}


@pytest.mark.parametrize("more, fps", [({}, 30), ({"fps": 25}, 25)])
def test_the_faces_of_a_clip(more, fps, tmp_path, caplog):
    """Two people in frames 4 and 6, in another order in each."""
    (face, *_) = json.loads(make_text(1))["faces"]
    faces = [{**face, "image": image, "track": track, "scale": 200.0 + track} for image, track in ((4, 7), (4, 2), (6, 2), (6, 7))]
    (tmp_path / "a.faces.json").write_text(make_text(faces=faces, **more), encoding="utf-8")
    take = read_take(tmp_path / "a.faces.json")
    assert take.actor.tolist() == [7, 2, 2, 7]
    np.testing.assert_allclose(take.time_s, np.array([4, 4, 6, 6]) / fps)
    np.testing.assert_allclose(take.translation[:, 2], -1.2 * 640 / (200 + take.actor), rtol=1e-6)
    assert [record.getMessage() for record in caplog.records] == (
        [] if more else [f"{tmp_path / 'a.faces.json'}: it states no \"fps\", so its frames were read as 30 a second"]
    )


def test_faces_without_the_size_of_their_picture_have_no_place(tmp_path):
    document = {key: value for key, value in json.loads(make_text()).items() if key not in ("width", "height")}
    (tmp_path / "a.faces.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ValueError, match=r'a\.faces\.json: .*expected "width" and "height" of the picture'):
        read_take(tmp_path / "a.faces.json")


@pytest.mark.parametrize("wrong", [{"width": "640"}, {"width": 0}, {"width": 1.5}, {"width": True}])
def test_a_wrong_size_is_not_known(wrong, tmp_path):
    (tmp_path / "a.json").write_text(make_text(**wrong), encoding="utf-8")
    footage = read_take(tmp_path / "a.json").footage
    assert footage.width is None and footage.height == 480


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not faces as JSON"),
        ("[1]", "not faces as JSON"),
        ("{}", "format, identity_size, faces missing"),
        (make_text(1, faces=[{}]), "KeyError 'image'"),
        ("[" * 99999, "not faces as JSON"),
    ],
)
def test_other_files_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_faces_document(text)


@pytest.mark.parametrize("count", [0, 2])
def test_another_format_is_refused(count, tmp_path):
    text = make_text(count, format=99)
    with pytest.raises(ValueError, match="not faces as JSON: format 99, this version reads 1"):
        parse_faces_document(text)
    (tmp_path / "a.faces.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.faces\.json: not a take as JSON \(format 99, this version reads 1\)"):
        read_take(tmp_path / "a.faces.json")


def test_mfn_writes_what_is_read():
    faces = pytest.importorskip("mfn.structures.faces").Faces
    document = parse_faces_document(make_text())
    written = faces(**document.arrays).to_json()
    again = parse_faces_document(written)
    for name, value in document.arrays.items():
        np.testing.assert_allclose(again.arrays[name], value, atol=1e-6)
