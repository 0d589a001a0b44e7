"""Pickles are read as data: arrays of every kind arrive, and whatever else they name is refused and not run."""

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from mfn.structures.head_model.readers.plain_pickle import read_plain_pickle

PATH = Path("file.pkl")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_of_every_protocol(protocol: int) -> None:
    data = {
        "floats": np.arange(6.0).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "words": ["a", 1, None, (2, 3)],
        "number": np.float32(0.5),
        "ordered": OrderedDict(a=1),
        "objects": np.array([None, 1], object),
    }
    found = read_plain_pickle(PATH, pickle.dumps(data, protocol))
    assert (found["floats"] == data["floats"]).all() and (found["columns"] == data["columns"]).all()
    assert found["words"] == data["words"] and found["number"] == 0.5 and found["ordered"] == {"a": 1}


def test_sparse_matrices_become_full_ones() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    full = np.array([[0.0, 2, 0], [1, 0, 0]])
    for kind in (sparse.csc_matrix, sparse.csr_matrix):
        assert (read_plain_pickle(PATH, pickle.dumps(kind(full), 2)) == full).all()


class _Call:
    """Pickles as a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call  # type: ignore[return-value]


@pytest.mark.parametrize(
    "call",
    [
        _Call(eval, "1 + 1"),
        _Call(getattr, "a", "upper"),
        _Call(np.load, "x.npy"),
        _Call(np.empty, (9, 9)),
        _Call(np.dtype, "V9999999"),
        _Call(np.ndarray, (10**9,)),
        _Call(pickle.loads, b""),
    ],
)
def test_calls_are_refused(call: _Call) -> None:
    with pytest.raises(ValueError, match="refused") as caught:
        read_plain_pickle(PATH, pickle.dumps([call], 2))
    assert "\n" not in str(caught.value)


def test_shared_types_are_not_changed() -> None:
    """A file may give a new state to any object that it makes; NumPy's own types must not be among these."""
    text = pickle.dumps(np.dtype("f8"), 2)
    read_plain_pickle(PATH, text.replace(b"\x4b\x03X\x01\x00\x00\x00<", b"\x4b\x03X\x01\x00\x00\x00>"))
    assert np.dtype("f8").byteorder == "=" and np.zeros(1)[0] == 0


@pytest.mark.parametrize("data", [b"", b"no pickle", b"\x80\x02cnumpy\nndarray\n.", b"\x80\x05\x95\xff"])
def test_damaged_files(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"file\.pkl"):
        read_plain_pickle(PATH, data)
