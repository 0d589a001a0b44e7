"""Packs: which pictures and faces are used, and clear errors."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from mfn.training.packs.reader import HELD_OUT_EVERY, held_out, locate_pack, read_pack, read_pictures
from mfn.training.packs.writer import write_pack, write_pictures
from retarget.io.images import encode_jpeg
from tests.helpers.training import random_faces, spot_pack


def test_one_picture_in_fifty_is_held_out_and_more_of_a_small_pack():
    assert np.flatnonzero(held_out(1000)).tolist() == list(range(0, 1000, HELD_OUT_EVERY))
    assert np.flatnonzero(held_out(60)).tolist() == list(range(0, 60, 6))
    assert np.flatnonzero(held_out(3)).tolist() == [0, 2] and not held_out(0).any()


def test_pictures_with_faces_are_held_out_where_the_first_have_none():
    pack = spot_pack()
    moved = replace(pack, faces=pack.faces.replace(image=np.array([1, 3, 5, 5, 3, 1])))
    held = moved.held_out()
    assert held[[1, 3, 5]].any() and not held[[1, 3, 5]].all()
    alone = replace(pack, faces=pack.faces.replace(image=np.full(6, 4)))
    assert not alone.held_out()[4]


def test_known_people_are_held_out_as_a_whole():
    """Six pictures, each of one face: those of person 4 are held out, and of the unknown people single pictures."""
    pack, tracks = spot_pack(), ([3, 4, 3, 4, 3, 4], [3, 4, 3, 4, -1, -1])
    held = [replace(pack, faces=pack.faces.replace(image=np.arange(6), track=np.array(track))).held_out() for track in tracks]
    assert held[0].tolist() == [False, True, False, True, False, True]
    assert held[1].tolist() == [False, True, False, True, True, False]


def test_most_of_few_people_are_for_training():
    """Ten people with two pictures each."""
    pack = spot_pack()
    faces = Faces.concatenate([pack.faces[[0]]] * 20).replace(image=np.arange(20), track=np.arange(20) // 2)
    held = replace(pack, pictures=pack.pictures[:1] * 20, faces=faces).held_out()
    assert np.flatnonzero(held).tolist() == [2, 3, 12, 13]


def test_pictures_are_held_out_as_before_where_no_person_is_numbered(tmp_path):
    pictures, faces = [encode_jpeg(np.zeros((40, 40, 3), np.uint8))] * 60, random_faces(60).replace(image=np.arange(60))
    write_pack(tmp_path, "mine", pictures, faces.replace(track=np.full(60, -1, np.int32)))
    labels = dict(np.load(tmp_path / "labels" / "mine.npz"))
    del labels["track"]
    np.savez(tmp_path / "labels" / "mine.npz", **labels, person=np.arange(60) // 3)
    assert (read_pack(tmp_path, tmp_path / "labels", "mine").held_out() == held_out(60)).all()


def test_labels_that_are_missing_are_named(tmp_path):
    write_pack(tmp_path, "mine", [encode_jpeg(np.zeros((40, 40, 3), np.uint8))] * 3, random_faces(3))
    (tmp_path / "labels" / "mine.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"labels.mine\.npz: expected labels of the pack mine"):
        read_pack(tmp_path, tmp_path / "labels", "mine")
    assert not read_pack(tmp_path, None, "mine").has_labels.any()


def test_a_pack_of_boxes_without_scores_is_hand_drawn(tmp_path):
    pictures = [encode_jpeg(np.zeros((40, 40, 3), np.uint8))] * 3
    write_pack(tmp_path, "heads", pictures, random_faces(3))
    write_pictures(tmp_path / "drawn.tar", pictures)
    np.savez(tmp_path / "drawn.npz", box=np.array([[2, 3, 20, 30]]), box_picture=np.array([1]))
    drawn, heads = (read_pack(tmp_path, tmp_path / "labels", name) for name in ("drawn", "heads"))
    assert drawn.hand_drawn and drawn.select(np.ones(3, bool)).hand_drawn and not heads.hand_drawn


def test_a_selection_keeps_the_faces_of_its_pictures():
    pack = spot_pack()
    chosen = np.arange(len(pack.pictures)) % 2 == 1
    part = pack.select(chosen)
    assert part.faces.image.tolist() == [1, 3, 5] and len(part.pictures) == len(pack.pictures)
    assert len(part.has_labels) == 3


@pytest.mark.parametrize(("name", "message"), [
    ("mine.tar", "not a .tar file that can be read"), ("mine.npz", "not an .npz file that can be read"),
    ("labels/mine.npz", "not an .npz file that can be read"),
])  # fmt: skip
def test_damaged_packs_are_named(name, message, tmp_path):
    write_pack(tmp_path, "mine", [encode_jpeg(np.zeros((40, 40, 3), np.uint8))] * 3, random_faces(3))
    content = (tmp_path / name).read_bytes()
    for damaged in (content[:700], b"", b"no pack"):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=re.escape(f"{tmp_path / name}: {message}")):
            read_pack(tmp_path, tmp_path / "labels", "mine")


@pytest.mark.parametrize(("change", "message"), [
    ({"face": np.array([0, 1, 7])}, "expected labels of the 3 faces of this pack, got a face 7"),
    ({"identity": np.zeros((3, 5))}, f"expected {IDENTITY_SIZE} numbers of identity and 3 of `ok`, got 5 and 3"),
    ({"expression": np.zeros((3, 52))}, "Faces.expression: expected shape"),
    ({"ok": np.ones(2, bool)}, f"got {IDENTITY_SIZE} and 2"),
    ({"box": None}, "got a file without box"),
])  # fmt: skip
def test_labels_of_another_pack_are_named(change, message, tmp_path):
    write_pack(tmp_path, "mine", [encode_jpeg(np.zeros((40, 40, 3), np.uint8))] * 3, random_faces(3))
    path = tmp_path / "labels" / "mine.npz"
    np.savez(path, **{name: value for name, value in {**np.load(path), **change}.items() if value is not None})
    with pytest.raises(ValueError, match=rf"labels.mine\.npz: .*{re.escape(message)}"):
        read_pack(tmp_path, tmp_path / "labels", "mine")


def test_pictures_that_are_missing_are_named(tmp_path):
    picture = encode_jpeg(np.zeros((40, 40, 3), np.uint8))
    write_pack(tmp_path, "mine", [picture] * 3, random_faces(3))
    write_pictures(tmp_path / "mine.tar", [picture] * 2)
    with pytest.raises(ValueError, match=r"mine\.tar: expected at least 3 pictures, as mine\.npz says, got 2"):
        read_pack(tmp_path, tmp_path / "labels", "mine")


def test_a_name_with_a_slash_is_a_path():
    folder, labels = Path("data"), Path("labels")
    assert locate_pack(folder, labels, "lfw") == (folder / "faces", labels, "lfw")
    assert locate_pack(folder, labels, "runs/heads/heads") == (Path("runs/heads"), Path("runs/heads/labels"), "heads")


def test_a_missing_pack_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.tar: expected a tar file of pictures"):
        read_pictures(tmp_path / "none.tar")
