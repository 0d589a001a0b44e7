"""The package as a user calls it: `import mfn`, and nothing else of it."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mfn


@pytest.fixture(scope="module")
def predictor(spots) -> mfn.Predictor:
    return mfn.Predictor.load(spots, min_face_px=48, threads=1)


def spotted(row: int = 10, column: int = 20) -> np.ndarray:
    """A black RGB picture, 768 x 1280, with one white square that the test network takes for a face."""
    picture = np.zeros((768, 1280, 3), np.uint8)
    picture[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = 255
    return picture


def test_every_public_name_is_there_and_listed():
    assert set(mfn.__all__) == {*mfn._HOMES, "__version__"}
    assert set(mfn.__all__) <= set(dir(mfn))
    for name in mfn.__all__:
        assert getattr(mfn, name) is not None
    assert mfn.Faces is importlib.import_module("mfn.structures.faces").Faces


def test_dir_lists_the_names_before_their_first_use():
    code = "import mfn; print({'Predictor', 'track', 'draw'} <= set(dir(mfn)), 'Predictor' in vars(mfn))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_both_packages_are_typed():
    import retarget

    for package in (mfn, retarget):
        assert Path(package.__file__).with_name("py.typed").is_file()


def test_a_photo_to_a_drawing_and_a_take(predictor):
    picture = spotted()
    faces = predictor(picture)
    assert len(faces) == 1 and faces.pitch_yaw_roll_deg.shape == (1, 3)
    assert mfn.draw(picture, faces).shape == picture.shape
    assert (mfn.draw(picture, faces) != picture).any() and (picture == spotted()).all()
    take = mfn.faces_to_take(faces, (1280, 768))
    assert take.coefficients.shape == (1, 52)
    assert len(mfn.EXPRESSION_NAMES) == faces.expression.shape[1] == 51


def test_a_clip_gives_faces_frame_by_frame(predictor, clip):
    pytest.importorskip("av")
    frames = list(mfn.track(clip, predictor))
    assert len(frames) == 20 and all(isinstance(faces, mfn.Faces) for faces in frames)
    assert all((faces.image == number).all() for number, faces in enumerate(frames))


def test_own_frames_are_tracked(predictor):
    frames = mfn.track(((0.04 * i, spotted()) for i in range(3)), predictor)
    assert [faces.track.tolist() for faces in frames] == [[0], [0], [0]]


def test_an_own_loop_with_a_tracker(predictor):
    tracker = mfn.Tracker()
    found = [tracker.update(predictor(spotted()), 0.04 * i) for i in range(3)]
    assert [faces.track.tolist() for faces in found] == [[0], [0], [0]]


def test_a_picture_is_read_from_a_file(tmp_path):
    from PIL import Image

    Image.fromarray(spotted()).save(tmp_path / "a.png")
    assert (mfn.read_image(tmp_path / "a.png") == spotted()).all()


def test_the_head_model_gives_a_mesh_file(tmp_path, head_model, predictor):
    faces = predictor(spotted())
    head_model.to_obj(tmp_path / "head.obj", faces[0])
    lines = (tmp_path / "head.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    np.testing.assert_allclose(vertices, head_model.vertices(faces.identity, faces.expression)[0], atol=1e-6)
    triangles = [[int(corner.split("/")[0]) - 1 for corner in line.split()[1:]] for line in lines if line.startswith("f ")]
    assert (np.array(triangles) == head_model.triangles).all()
    assert sum(line.startswith("vt ") for line in lines) == len(head_model.uv)
    head_model.to_obj(tmp_path / "mean.obj")
    assert (tmp_path / "mean.obj").read_text() != (tmp_path / "head.obj").read_text()
    with pytest.raises(ValueError, match="expected one face, got 0"):
        head_model.to_obj(tmp_path / "x.obj", faces[:0])
    assert not (tmp_path / "x.obj").exists()
