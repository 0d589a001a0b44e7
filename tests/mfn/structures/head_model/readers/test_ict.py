"""ICT-FaceKit's folder is read from small .obj files of the same names."""

from pathlib import Path

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel
from retarget.arkit import EXPRESSION_NAMES
from tests.helpers.meshes import IDENTITIES, small_head, write_ict

pytest.importorskip("scipy")
HEAD = small_head(12, 10)


def test_the_folder_becomes_a_head_model(tmp_path: Path) -> None:
    model = HeadModel.from_ict(write_ict(tmp_path / "FaceXModel", HEAD))
    assert model.has_blendshapes and model.expression_names == EXPRESSION_NAMES
    assert np.abs(model.mean - HEAD.mean).max() < 1e-6
    assert model.identity_size == IDENTITIES and np.abs(model.identity_basis - HEAD.identity).max() < 1e-6
    assert np.abs(model.expression_basis - HEAD.expression).max() < 1e-6  # the halves of browInnerUp and cheekPuff are summed
    assert np.abs(model.points(model.mean, "ibug68") - model.mean[:68]).max() == 0
    assert model.region_names == ("head",)


def test_symmetric_components_are_recognized(tmp_path: Path) -> None:
    model = HeadModel.from_ict(write_ict(tmp_path / "FaceXModel", HEAD))
    assert np.abs(model.mean[model.mirror] - model.mean * [-1, 1, 1]).max() < 1e-6
    signs = {k: float(sign) for k, sign in enumerate(model.identity_mirror)}
    assert signs[1] == 1 and signs[2] == 1  # even in x, along y and z
    assert signs[3] == -1  # even in x, along x


def test_bad_folders_give_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="FaceXModel"):
        HeadModel.from_ict(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="generic_neutral_mesh"):
        HeadModel.from_ict(tmp_path)
    with pytest.raises(ValueError, match="jawOpen is missing"):
        HeadModel.from_ict(write_ict(tmp_path / "a", HEAD, leave_out=["jawOpen"]))
    with pytest.raises(ValueError, match="identity000"):
        HeadModel.from_ict(write_ict(tmp_path / "b", HEAD, leave_out=[f"identity{i:03d}" for i in range(IDENTITIES)]))
    folder = write_ict(tmp_path / "c", HEAD)
    (folder / "jawOpen.obj").write_text("v 1 2 3\nv 1 2 3\n")
    with pytest.raises(ValueError, match=r"jawOpen.obj: expected 120 vertices .* got 2"):
        HeadModel.from_ict(folder)
    (folder / "jawOpen.obj").write_text("v 1 2 x\n")
    with pytest.raises(ValueError, match="not three numbers"):
        HeadModel.from_ict(folder)
    other = write_ict(tmp_path / "d", HEAD)
    (other / "vertex_indices.json").write_text('{"idx_to_landmark_verts": [1, 2]}')
    with pytest.raises(ValueError, match="68 vertex numbers"):
        HeadModel.from_ict(other)
