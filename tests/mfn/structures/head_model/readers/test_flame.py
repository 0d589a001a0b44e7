"""FLAME is read from small files that are laid out as the published ones, and nothing in them is executed."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel
from retarget.geometry.rotations import rotation_about
from tests.helpers.meshes import IDENTITIES, flame_arrays, small_head, write_flame_npz, write_flame_pickle

pytest.importorskip("scipy")
HEAD = small_head()


@pytest.fixture(scope="module", params=["pkl", "npz"])
def flame(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HeadModel:
    path = tmp_path_factory.mktemp("flame") / f"generic_model.{request.param}"
    write = write_flame_pickle if request.param == "pkl" else write_flame_npz
    return HeadModel.from_flame(write(path, HEAD), IDENTITIES)


def test_shapes(flame: HeadModel) -> None:
    assert flame.identity_size == IDENTITIES and np.abs(flame.identity_basis - HEAD.identity).max() < 1e-7
    assert len(flame.expression_names) == 9 + 10 and flame.expression_names[9] == "expression_001"
    assert np.abs(flame.expression_basis[9:] - HEAD.expression[:10]).max() < 1e-7
    assert np.abs(flame.mean - HEAD.mean).max() < 1e-7


def test_the_jaw_turns(flame: HeadModel) -> None:
    """A small turn agrees with linear blend skinning; eyes that no vertex follows do not move."""
    arrays = flame_arrays(HEAD)
    angle = 0.1
    center = (arrays["J_regressor"] @ HEAD.mean)[2]
    weight = arrays["weights"][:, [2]]
    skinned = HEAD.mean + weight * ((HEAD.mean - center) @ (rotation_about("x", angle) - np.eye(3)).T)
    expression = np.zeros((1, len(flame.expression_names)))
    expression[0, flame.expression_names.index("jaw_x")] = angle
    moved = flame.vertices(np.zeros((1, IDENTITIES)), expression)[0]
    assert np.abs(moved - skinned).max() < 0.05 * np.abs(skinned - HEAD.mean).max()
    eye = flame.expression_names.index("left_eye_y")
    assert np.abs(flame.expression_basis[eye]).max() == 0


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("import pathlib; pathlib.Path('ran').touch()",))


def test_nothing_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for changes in ({"extra": _Bomb()}, {"v_template": _Bomb()}):
        path = write_flame_pickle(tmp_path / "bad.pkl", HEAD, changes)
        with pytest.raises(ValueError, match=r"refused.*exec") as caught:
            HeadModel.from_flame(path, IDENTITIES)
        assert "\n" not in str(caught.value)
    weird = flame_arrays(HEAD) | {"J_regressor": np.array(_Bomb(), object)}
    np.savez(tmp_path / "bad.npz", **weird)
    with pytest.raises(ValueError, match="refused"):
        HeadModel.from_flame(tmp_path / "bad.npz", IDENTITIES)
    assert not (tmp_path / "ran").exists()


def test_bad_files_give_one_line(tmp_path: Path) -> None:
    good = flame_arrays(HEAD)
    (tmp_path / "damaged.pkl").write_bytes(b"\x80\x02}q\x01")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    (tmp_path / "text.npz").write_bytes(b"no zip")
    (tmp_path / "model.txt").write_text("flame")
    np.savez(tmp_path / "short.npz", v_template=HEAD.mean)
    np.savez(tmp_path / "odd.npz", **(good | {"weights": np.zeros((4, 5))}))
    np.savez(tmp_path / "words.npz", **(good | {"f": np.array(["a", "b"])}))
    expected = {
        "damaged.pkl": "not a readable pickle", "list.pkl": "not a FLAME model", "text.npz": "not an .npz", "model.txt": "ends in .pkl or",
        "short.npz": "shapedirs, posedirs", "odd.npz": "weights: expected shape", "words.npz": "arrays of numbers",
    }  # fmt: skip
    for name, message in expected.items():
        with pytest.raises(ValueError, match=message) as caught:
            HeadModel.from_flame(tmp_path / name, IDENTITIES)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="expected more than 300 components, got 16"):
        HeadModel.from_flame(write_flame_npz(tmp_path / "small.npz", HEAD))
    with pytest.raises(FileNotFoundError, match="FLAME"):
        HeadModel.from_flame(tmp_path / "none.pkl")
