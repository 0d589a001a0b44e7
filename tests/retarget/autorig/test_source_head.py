"""The head model whose shapes are transferred: where it is, what it holds, which files are refused."""

from __future__ import annotations

import io

import numpy as np
import pytest

pytest.importorskip("scipy", reason="making shapes needs SciPy: the `rig` extra")

from retarget.autorig.source_head import LANDMARKS, default_source_head, load_source_head
from tests.helpers.hostile_files import CASES


@pytest.fixture(scope="module")
def arrays():
    with np.load(default_source_head(), allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def test_our_head_model_is_installed():
    assert default_source_head().is_file() and default_source_head().name == "head_model.npz"


def test_shapes_of_the_arrays():
    head = load_source_head()
    count = len(head.neutral)
    assert head.shapes.shape == (51, count, 3) and head.identity.shape[1:] == (count, 3)
    assert head.triangles.max() < count and set(head.landmarks) == set(LANDMARKS)
    assert head.skin.sum() + sum(piece.sum() for piece in head.other_pieces()) == count


def test_landmarks_interpolate_any_values():
    head = load_source_head()
    names = ["noseTip", "chin"]
    constant = np.ones((2, len(head.neutral), 3))
    np.testing.assert_allclose(head.at_landmarks(constant, names), np.ones((2, 2, 3)))


def test_a_missing_file_names_the_option(tmp_path):
    with pytest.raises(FileNotFoundError, match="give it with --source"):
        load_source_head(tmp_path / "gone.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expression_names": np.array(["jawOpen"])}, "its expression names are not ARKit's 51"),
        ({"region_names": np.array(["face"])}, "it has no region lids"),
        ({"mean": None}, "not a head model"),
    ],
)
def test_other_files_are_refused(changes, message, arrays, tmp_path):
    changed = {name: value for name, value in {**arrays, **changes}.items() if value is not None}
    np.savez(tmp_path / "head.npz", **changed)
    with pytest.raises(ValueError, match=message):
        load_source_head(tmp_path / "head.npz")


def damaged():
    """Damaged files: description -> content."""
    whole = default_source_head().read_bytes()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    changed = bytearray(whole)
    changed[300:400] = bytes(byte ^ 0x5A for byte in changed[300:400])
    number = io.BytesIO()
    np.savez(number, expression_names=np.array(3))
    takes = {name: content for name, (file, content) in CASES.items() if file.endswith(".npz")}
    return takes | {
        "half": whole[: len(whole) // 2],
        "without its end": whole[:-5],
        ".npy": array.getvalue(),
        "wrong bytes": bytes(changed),
        "a number for names": number.getvalue(),
    }


@pytest.mark.parametrize("name", damaged())
def test_damaged_files_are_one_line(name, tmp_path):
    (tmp_path / "head.npz").write_bytes(damaged()[name])
    with pytest.raises(ValueError, match=r"head\.npz: not a head model \(.+\)$") as caught:
        load_source_head(tmp_path / "head.npz")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
