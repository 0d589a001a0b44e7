"""The Basel Face Model is read from small files that are laid out as the published ones."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel
from tests.helpers.meshes import IDENTITIES, SmallHead, small_head, write_bfm_2009, write_bfm_2017

pytest.importorskip("scipy")
pytest.importorskip("h5py")
HEAD = small_head()


def random_vertices(model: HeadModel, head: SmallHead, expressions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices of two random heads, by the model and by hand."""
    rng = np.random.default_rng(0)
    identity, expression = rng.standard_normal((2, IDENTITIES)), rng.standard_normal((2, expressions))
    by_hand = head.mean + np.tensordot(identity, head.identity, 1) + np.tensordot(expression, head.expression[:expressions], 1)
    return model.vertices(identity, expression), by_hand


def test_2009(tmp_path: Path) -> None:
    model = HeadModel.from_bfm(write_bfm_2009(tmp_path / "01_MorphableModel.mat", HEAD))
    found, by_hand = random_vertices(model, HEAD, 0)
    assert np.abs(found - by_hand).max() < 1e-6 and found.shape == (2, len(HEAD.mean), 3)
    assert model.expression_names == () and not model.has_blendshapes
    assert sorted(map(sorted, model.triangles.tolist())) == sorted(map(sorted, HEAD.triangles.tolist()))


def test_triangles_look_outward(tmp_path: Path) -> None:
    """The file has them the other way round."""
    model = HeadModel.from_bfm(write_bfm_2009(tmp_path / "01_MorphableModel.mat", HEAD))
    a, b, c = (model.mean[model.triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    assert (normal[:, 2] > 0).mean() > 0.95


def test_2017(tmp_path: Path) -> None:
    model = HeadModel.from_bfm(write_bfm_2017(tmp_path / "model2017-1_bfm_nomouth.h5", HEAD))
    found, by_hand = random_vertices(model, HEAD, 51)
    assert np.abs(found - by_hand).max() < 1e-6
    assert model.expression_names[0] == "expression_001" and len(model.expression_names) == 51
    small = model.first_components(3, 5)
    assert small.identity_basis.shape == (3, len(HEAD.mean), 3) and small.expression_names == model.expression_names[:5]
    with pytest.raises(ValueError, match="up to 6 identity and 51"):
        model.first_components(7)


def test_2017_without_expressions(tmp_path: Path) -> None:
    model = HeadModel.from_bfm(write_bfm_2017(tmp_path / "shape.h5", HEAD, expressions=False))
    assert model.expression_basis.shape == (0, len(HEAD.mean), 3)


def test_a_mesh_of_no_size_is_refused(tmp_path: Path) -> None:
    flat = SmallHead(HEAD.mean * [1, 0, 1], HEAD.identity, HEAD.expression, HEAD.triangles)
    with pytest.raises(ValueError, match=r"expected a head of 0\.12 to 0\.7 m"):
        HeadModel.from_bfm(write_bfm_2017(tmp_path / "flat.h5", flat))


def test_bad_files_give_one_line(tmp_path: Path) -> None:
    (tmp_path / "damaged.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    (tmp_path / "damaged.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
    (tmp_path / "model.ply").write_bytes(b"ply")
    write_bfm_2009(tmp_path / "short.mat", HEAD, shapeEV=None)
    write_bfm_2009(tmp_path / "odd.mat", HEAD, shapePC=np.zeros((5, 2)))
    write_bfm_2009(tmp_path / "nan.mat", HEAD, shapeMU=np.full((HEAD.mean.size, 1), np.nan))
    write_bfm_2009(tmp_path / "far.mat", HEAD, tl=HEAD.triangles + 9000.0)
    write_bfm_2017(tmp_path / "mat_in_name.mat", HEAD)
    expected = {
        "damaged.mat": "not a MATLAB file", "damaged.h5": "not an HDF5 file", "model.ply": r"ends in .mat .* or .h5",
        "short.mat": "shapeEV is missing", "odd.mat": "shapePC", "nan.mat": "finite", "far.mat": "vertex numbers",
        "mat_in_name.mat": "MATLAB",
    }  # fmt: skip
    for name, message in expected.items():
        with pytest.raises(ValueError, match=message) as caught:
            HeadModel.from_bfm(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="Basel Face Model"):
        HeadModel.from_bfm(tmp_path / "none.h5")


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_bfm_2017(tmp_path / "model.h5", HEAD)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'pip install ".\[heads\]"'):
        HeadModel.from_bfm(path)
