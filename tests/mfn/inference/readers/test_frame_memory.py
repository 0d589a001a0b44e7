"""Crowds in which the readers take turns."""

from collections.abc import Sequence

import numpy as np
import pytest

from mfn.inference.readers.frame_memory import TURNS, FrameMemory
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES

COUNT = 4  # faces that are read in a frame
SIZE = (720, 1280)


def crowd(people: int, shift_px: float = 0.0, score: float = 0.6) -> Faces:
    """Return `people` faces in a row, of a multi-face network that reads 0.2 for every shape."""
    left = 100 * np.arange(people) + shift_px
    one = np.ones(people)
    return Faces(
        image=np.zeros(people),
        box=np.stack([left, 0 * left, left + 60, 0 * left + 60], 1),
        score=score * one,
        rotation=np.tile(np.eye(3), (people, 1, 1)),
        scale=300 * one,
        center=np.stack([left + 30, 0 * left + 30], 1),
        identity=np.zeros((people, IDENTITY_SIZE)),
        expression=np.full((people, len(EXPRESSION_NAMES)), 0.2),
        track=-one.astype(int),
    )


def turned(degrees: float) -> np.ndarray:
    """Return a rotation about the vertical axis."""
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


def read(memory: FrameMemory, found: Faces, value: float, shown: Sequence[int] | None = None) -> tuple[Faces, list[int]]:
    """Process a frame as `Predictor` does.

    The reader sees `value` for every shape, is sure of every face, makes the box 10 px taller and turns the head by 20 degrees.
    `shown`: the rows that are reported, in place of all that are sure.
    """
    rows = memory.choose(found, COUNT, SIZE)
    now = np.isin(np.arange(len(found)), rows)
    faces = found.replace(
        expression=np.where(now[:, None], value, found.expression),
        score=np.where(now, 0.9, found.score),
        box=found.box + np.where(now[:, None], [0, 0, 0, 10], 0),
        rotation=np.where(now[:, None, None], turned(20) @ found.rotation, found.rotation),
        refined=now,
    )
    faces = memory.recall(found, faces)
    sure = np.flatnonzero(faces.score >= 0.55)
    kept = sure if shown is None else np.array(shown, int)
    return memory.finish(faces[kept], kept, sure), rows.tolist()


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
    assert read(memory, crowd(12, shift_px=15), 0.8)[1] == read_rows[:4], "then it begins anew"


def test_box_and_pose_of_the_frame_are_corrected_as_when_they_were_read():
    memory = FrameMemory()
    read(memory, crowd(8), 0.5)
    larger = crowd(8, shift_px=-5)
    larger = larger.replace(scale=1.2 * larger.scale, box=larger.box + [0, 0, 12, 12], rotation=np.tile(turned(-30), (8, 1, 1)))
    faces, rows = read(memory, larger, 0.6)
    assert rows == [4, 5, 6, 7]
    np.testing.assert_allclose(faces.box[:4], larger.box[:4] + [0, 0, 0, 12], atol=1e-3, err_msg="10 px at the larger scale")
    np.testing.assert_allclose(faces.rotation, np.tile(turned(-10), (8, 1, 1)), atol=1e-6)
    np.testing.assert_allclose(faces.scale, larger.scale)


def test_what_eyes_say_is_kept_too():
    memory = FrameMemory()
    found = crowd(8)
    rows = memory.choose(found, COUNT, SIZE)
    faces = memory.recall(found, found.replace(refined=np.isin(np.arange(8), rows), score=np.full(8, 0.9)))
    memory.finish(faces.replace(expression=np.full(faces.expression.shape, 0.7)), np.arange(8), np.arange(8))
    again, _ = read(memory, crowd(8), 0.6)
    assert again.expression[rows, 0] == pytest.approx(0.7)


def test_a_crowd_of_no_more_than_k_faces_remembers_nothing():
    memory = FrameMemory()
    read(memory, crowd(8), 0.5)
    weak = Faces.concatenate([crowd(4), crowd(4, shift_px=500, score=0.1)])
    faces, rows = read(memory, weak, 0.6)
    assert rows == [0, 1, 2, 3] and len(faces) == 4


def test_of_more_people_than_take_turns_the_others_stay_as_they_were_found():
    memory, people = FrameMemory(), COUNT * (TURNS + 2)
    for _ in range(TURNS + 3):
        faces, _ = read(memory, crowd(people), 0.5)
    assert faces.refined.sum() == COUNT * TURNS
    assert faces.expression[~faces.refined] == pytest.approx(0.2)


def test_what_was_read_long_ago_does_not_hold():
    memory = FrameMemory()
    read(memory, crowd(COUNT + 1), 0.5)
    for frame in range(TURNS + 2):  # new faces take all places, again and again
        new = crowd(COUNT, shift_px=3000 + 1000 * frame, score=0.9)
        faces, rows = read(memory, Faces.concatenate([crowd(1), new]), 0.6)
        assert rows == [1, 2, 3, 4]
        assert faces.refined[0] == (frame < TURNS)
    assert faces.expression[0, 0] == pytest.approx(0.2)


def test_a_new_face_is_read_at_once_and_a_lost_one_is_forgotten():
    memory = FrameMemory()
    read(memory, crowd(6), 0.5)
    read(memory, crowd(6), 0.6)
    moved = Faces.concatenate([crowd(5), crowd(1, shift_px=900)])
    faces, rows = read(memory, moved, 0.9)
    assert 5 in rows and faces.expression[5, 0] == pytest.approx(0.9)
    _, rows = read(memory, crowd(6), 0.4)
    assert 5 in rows, "it was away for a frame, and counts as new"


def test_two_candidates_of_one_face_do_not_become_two_people():
    memory = FrameMemory()
    read(memory, crowd(8), 0.5)
    ghost = crowd(1, shift_px=20, score=0.06)
    faces, _ = read(memory, Faces.concatenate([crowd(8), ghost]), 0.5)
    assert len(faces) == 8, "what was read belongs to the candidate that overlaps more"


def test_a_reading_that_was_not_reported_does_not_come_back():
    memory = FrameMemory()
    part = crowd(1, shift_px=6, score=0.5)
    both = Faces.concatenate([crowd(1, score=0.8), part, crowd(4, shift_px=500, score=0.4)])
    read(memory, both, 0.5, shown=[0, 2, 3, 4])  # the part was read, and dropped beside the face
    moved = Faces.concatenate([crowd(1, shift_px=5, score=0.05), crowd(5, shift_px=500)])
    faces, rows = read(memory, moved, 0.6)
    assert 0 not in rows and (faces.box[:, 0] >= 500).all()


def test_frames_without_faces_and_of_another_size():
    memory = FrameMemory()
    read(memory, crowd(6), 0.5)
    faces, rows = read(memory, crowd(0), 0.5)
    assert len(faces) == 0 and rows == []
    assert len(read(memory, crowd(6), 0.5, shown=[])[0]) == 0
    first = read(memory, crowd(6), 0.5)[1]
    memory.choose(crowd(6), COUNT, (360, 640))
    assert memory.choose(crowd(6), COUNT, SIZE).tolist() == first, "nothing is known of a frame of another size"
