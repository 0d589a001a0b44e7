"""A simulated crowd in which the readers take turns."""

import numpy as np
import pytest

from experiments.accuracy.expression.laid_faces import Source
from experiments.video import crowd_turns
from mfn.structures.faces import Faces
from retarget.arkit import EXPRESSION_NAMES


def test_everybody_shows_another_frame_and_goes_on():
    first, second = crowd_turns.shown(0, 4, 10), crowd_turns.shown(1, 4, 10)
    assert len(set(first.tolist())) == 4
    np.testing.assert_array_equal(second, (first + 1) % 10)


def test_the_crowd_is_laid_in_cells_and_each_person_is_read_at_its_own_place(one_face):
    sources = [Source(np.full((40, 40, 3), 10 * i, np.uint8), np.array([10, 10, 30, 30])) for i in range(5)]

    def read(frame):
        """Find only the upper left person, whose gray level is the weight of every shape."""
        middle = np.array([213, 180])  # of a cell of three in a row and two rows
        level = frame[int(middle[1]), int(middle[0]), 0] / 100
        half = crowd_turns.FACE_PX / 2
        face = one_face([*(middle - half), *(middle + half)])
        return face.replace(expression=np.full((1, len(EXPRESSION_NAMES)), level))

    reading = crowd_turns.read_crowd(read, sources, 4, 2)
    rows = reading.expression
    assert reading.extra.tolist() == [0, 0] and reading.height[:, 0] == pytest.approx(crowd_turns.FACE_PX)
    assert rows.shape == (2, 4, 51) and np.isnan(rows[:, 1:]).all()
    assert rows[:, 0, 0] == pytest.approx([0.0, 0.1], abs=0.02), "frame 0 shows source 0, frame 1 source 1"


@pytest.fixture
def one_face():
    """Return a function that makes one face with a box."""

    def make(box):
        one = np.ones(1)
        return Faces(
            image=0 * one,
            box=np.array([box]),
            score=one,
            rotation=np.eye(3)[None],
            scale=one,
            center=np.zeros((1, 2)),
            identity=np.zeros((1, 64)),
            expression=np.zeros((1, 51)),
            track=-one.astype(int),
        )

    return make


def test_jitter_is_the_second_difference():
    height = np.array([[10.0], [11.0], [12.0], [10.0]])  # steady, then a jump of 3 px against the motion
    reading = crowd_turns.CrowdReading(np.zeros((4, 1, 51)), height, np.zeros((4, 1, 3)), np.zeros(4, int))
    assert crowd_turns.jitter(reading)["height jitter, %"] == pytest.approx(100 * 1.5 / 10.75, abs=0.01)


def test_faces_that_are_not_found_count_as_such_only():
    reference = np.tile(np.linspace(0, 1, 8)[:, None], (1, 51))
    value = 0.5 * reference
    value[::2] = np.nan
    figures = crowd_turns.compare(reference, value)
    assert figures["found"] == 0.5 and figures["gain"] == pytest.approx(0.5) and figures["r"] == pytest.approx(1.0)
