"""Packs: which pictures and faces are used, and clear errors."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from mfn.training.data.packs import HELD_OUT_EVERY, held_out, locate_pack, read_pictures
from tests.helpers.training import spot_pack


def test_one_picture_in_fifty_is_held_out():
    held = held_out(120)
    assert np.flatnonzero(held).tolist() == [0, HELD_OUT_EVERY, 2 * HELD_OUT_EVERY]


def test_a_selection_keeps_the_faces_of_its_pictures():
    pack = spot_pack()
    chosen = np.arange(len(pack.pictures)) % 2 == 1
    part = pack.select(chosen)
    assert part.faces.image.tolist() == [1, 3, 5] and len(part.pictures) == len(pack.pictures)
    assert len(part.has_labels) == 3


def test_a_name_with_a_slash_is_a_path():
    folder, labels = Path("data"), Path("labels")
    assert locate_pack(folder, labels, "lfw") == (folder / "faces", labels, "lfw")
    assert locate_pack(folder, labels, "runs/heads/heads") == (Path("runs/heads"), Path("runs/heads/labels"), "heads")


def test_a_missing_pack_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.tar: expected a tar file of pictures"):
        read_pictures(tmp_path / "none.tar")
