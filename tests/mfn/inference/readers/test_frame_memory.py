"""Crowds in which the readers take turns."""

from collections.abc import Sequence

import numpy as np
import pytest

from mfn.inference.readers.frame_memory import TURNS, FrameMemory
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES

COUNT = 4  # faces that are read in a frame


def crowd(people: int, shift_px: float = 0.0, score: float = 0.6) -> Faces:
    """Return `people` faces in a row, of a multi-face network that reads 0.2 for every shape."""
    left = 100 * np.arange(people) + shift_px
    one = np.ones(people)
    return Faces(
        image=np.zeros(people),
        box=np.stack([left, 0 * left, left + 60, 0 * left + 60], 1),
        score=score * one,
        rotation=np.tile(np.eye(3), (people, 1, 1)),
        scale=one,
        center=np.zeros((people, 2)),
        identity=np.zeros((people, IDENTITY_SIZE)),
        expression=np.full((people, len(EXPRESSION_NAMES)), 0.2),
        track=-one.astype(int),
    )


def read(memory: FrameMemory, found: Faces, value: float, shown: Sequence[int] | None = None) -> tuple[Faces, list[int]]:
    """Process a frame as `Predictor` does. The reader sees `value` for every shape and is sure of every face. `shown`: reported rows."""
    rows = memory.choose(found, COUNT)
    expression, score, refined = found.expression.copy(), found.score.copy(), np.zeros(len(found), bool)
    expression[rows], score[rows], refined[rows] = value, 0.9, True
    faces = memory.recall(found.replace(expression=expression, score=score, refined=refined))
    return memory.finish(faces if shown is None else faces[list(shown)]), rows.tolist()


def test_everybody_has_a_turn_and_keeps_what_was_read():
    memory, read_rows = FrameMemory(), []
    for frame in range(3):
        faces, rows = read(memory, crowd(12, shift_px=5 * frame), 0.5 + 0.1 * frame)
        read_rows += rows
    assert sorted(read_rows) == list(range(12)), "each of 12 people once in 3 frames of 4"
    assert faces.refined.all() and faces.score == pytest.approx(0.9)
    expected = np.zeros(12)
    for frame in range(3):
        expected[read_rows[4 * frame : 4 * frame + 4]] = 0.5 + 0.1 * frame
    assert faces.expression[:, 0] == pytest.approx(expected)
    np.testing.assert_array_equal(faces.box, crowd(12, shift_px=10).box, err_msg="the box is that of the frame")
    assert read(memory, crowd(12, shift_px=15), 0.8)[1] == read_rows[:4], "then it begins anew"


def test_what_eyes_say_is_kept_too():
    memory = FrameMemory()
    faces, rows = read(memory, crowd(8), 0.5)
    memory.finish(faces.replace(expression=np.where(np.isin(np.arange(8), rows)[:, None], 0.7, faces.expression)))
    again, _ = read(memory, crowd(8), 0.6)
    assert again.expression[rows, 0] == pytest.approx(0.7)


def test_a_crowd_of_no_more_than_k_faces_remembers_nothing():
    memory = FrameMemory()
    read(memory, crowd(8), 0.5)
    weak = Faces.concatenate([crowd(4), crowd(4, shift_px=500, score=0.1)])
    faces, rows = read(memory, weak, 0.6)
    assert rows == [0, 1, 2, 3] and faces.refined.tolist() == [True] * 4 + [False] * 4
    assert faces.expression[4:, 0] == pytest.approx(0.2) and faces.score[4:] == pytest.approx(0.1)


def test_what_was_read_long_ago_does_not_hold():
    memory, people = FrameMemory(), COUNT * (TURNS + 2)
    for frame in range(TURNS + 3):
        faces, _ = read(memory, crowd(people, score=0.6 + 0 * frame), 0.5)
    assert 0 < faces.refined.sum() <= COUNT * (TURNS + 1), "more people than have turns"
    assert faces.expression[~faces.refined] == pytest.approx(0.2)


def test_a_new_face_is_read_at_once_and_a_lost_one_is_forgotten():
    memory = FrameMemory()
    read(memory, crowd(6), 0.5)
    read(memory, crowd(6), 0.6)
    moved = Faces.concatenate([crowd(5), crowd(1, shift_px=900)])
    faces, rows = read(memory, moved, 0.9)
    assert 5 in rows and faces.expression[5, 0] == pytest.approx(0.9)
    faces, rows = read(memory, crowd(6), 0.4)
    assert 5 in rows, "it was away for a frame, and counts as new"


def test_frames_without_faces():
    memory = FrameMemory()
    read(memory, crowd(6), 0.5)
    faces, rows = read(memory, crowd(0), 0.5)
    assert len(faces) == 0 and rows == []
    assert len(read(memory, crowd(6), 0.5, shown=[])[0]) == 0
