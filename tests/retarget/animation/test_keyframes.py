"""The fewest keys: within the tolerance everywhere, and none fewer would do."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from retarget.animation.keyframes import MAX_SEGMENT_SAMPLES, reduce_linear, reduce_rotations
from retarget.animation.scene import write_scene
from retarget.gltf.accessors import read_accessor
from retarget.gltf.document import read_glb
from retarget.performance.take import Take
from retarget.rig.load import load_rig
from tests.helpers.characters import make_take


def played(time_s, values, keys):
    """What a player shows at all times, from the kept samples."""
    return np.stack([np.interp(time_s, time_s[keys], column[keys]) for column in values.T], axis=1)


def slerp(a, b, u):
    """Along the arc, the short way."""
    if a @ b < 0:
        b = -b
    angle = np.arccos(np.clip(a @ b, -1, 1))
    return a if angle < 1e-9 else (np.sin((1 - u) * angle) * a + np.sin(u * angle) * b) / np.sin(angle)


def played_turns(time_s, q, keys, mix=slerp):
    result = []
    for t in time_s:
        j = int(np.clip(np.searchsorted(time_s[keys], t, "right"), 1, len(keys) - 1))
        first, last = keys[j - 1], keys[j]
        shown = mix(q[first], q[last], (t - time_s[first]) / (time_s[last] - time_s[first]))
        result.append(shown / np.linalg.norm(shown))
    return np.array(result)


def off_by_rad(a, b):
    return 2 * np.arccos(np.clip(np.abs((a * b).sum(axis=1)), 0, 1))


def walk(count, channels, seed=0, step=0.02):
    """Smooth random weights."""
    rng = np.random.default_rng(seed)
    return np.cumsum(np.cumsum(rng.normal(0, step / 5, (count, channels)), axis=0), axis=0) * 0.05


@pytest.mark.parametrize("tolerance", [0.001, 0.01, 0.1])
def test_within_the_tolerance(tolerance):
    time_s, values = np.sort(np.random.default_rng(1).uniform(0, 10, 300)), walk(300, 52)
    keys = reduce_linear(time_s, values, tolerance)
    assert keys[0] == 0 and keys[-1] == 299 and (np.diff(keys) > 0).all()
    assert np.abs(played(time_s, values, keys) - values).max() <= tolerance and len(keys) < 300


def test_none_fewer_would_do():
    """Against every subset of a short clip."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        time_s, values = np.sort(rng.uniform(0, 1, 9)), rng.normal(0, 0.5, (9, 2)).cumsum(axis=0)
        found = reduce_linear(time_s, values, 0.8)
        for size in range(2, len(found)):
            for middle in itertools.combinations(range(1, 8), size - 2):
                keys = np.array([0, *middle, 8])
                assert np.abs(played(time_s, values, keys) - values).max() > 0.8 - 1e-5


def test_lines_and_constants_need_two():
    time_s = np.arange(50) / 30
    assert reduce_linear(time_s, np.ones((50, 4)), 0.001).tolist() == [0, 49]
    assert reduce_linear(time_s, np.outer(time_s, (1, -2)), 0.001).tolist() == [0, 49]
    corner = np.abs(np.arange(50) - 20.0)[:, None]
    assert reduce_linear(time_s, corner, 0.001).tolist() == [0, 20, 49]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_short(count):
    time_s = np.arange(count, dtype=float)
    assert reduce_linear(time_s, np.ones((count, 3)), 0.1).tolist() == list(range(count))
    assert reduce_rotations(time_s, np.tile([0, 0, 0, 1.0], (count, 1)), 0.1).tolist() == list(range(count))


def test_no_targets_and_long_clips():
    assert reduce_linear(np.arange(4.0), np.zeros((4, 0)), 0.1).tolist() == [0, 3]
    count = 3 * MAX_SEGMENT_SAMPLES
    assert len(reduce_linear(np.arange(count), np.zeros((count, 2)), 0.1)) == 2 + 2
    start = time.process_time()
    reduce_linear(np.arange(300) / 30, walk(300, 60), 0.002)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("tolerance", [0.002, 0.02])
def test_rotations_stay_on_the_sphere(tolerance):
    """A head that turns all round, with noise, signs at random: arcs and mixed numbers are both within."""
    rng = np.random.default_rng(3)
    angle = np.linspace(0, 7, 200)
    q = np.stack([0.1 * np.sin(angle), np.sin(angle / 2), 0.05 * np.cos(3 * angle), np.cos(angle / 2)], axis=1)
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    time_s = np.arange(200) / 30
    keys = reduce_rotations(time_s, q * rng.choice([-1, 1], (200, 1)), tolerance)
    assert len(keys) < 150
    assert off_by_rad(played_turns(time_s, q, keys), q).max() <= tolerance
    mixed = played_turns(time_s, q, keys, lambda a, b, u: (1 - u) * a + u * b)
    assert off_by_rad(mixed, q).max() <= tolerance


def test_a_still_head_needs_two():
    q = np.tile([0, 0.3, 0, 0.954], (40, 1)) + np.random.default_rng(0).normal(0, 1e-4, (40, 4))
    assert reduce_rotations(np.arange(40) / 30, q, 0.01).tolist() == [0, 39]


def test_written_scene(face_path, tmp_path):
    """A smooth take needs far fewer keyframes, and the file plays like the take."""
    count = 120
    time_s, rig = np.arange(count) / 30, load_rig(face_path)
    weights = np.clip(0.5 + 4 * walk(count, 52, 5), 0, 1)
    angle = 0.5 * np.sin(time_s)
    turn = np.stack([0 * angle, np.sin(angle / 2), 0 * angle, np.cos(angle / 2)], axis=1)
    place = np.stack([0.2 * time_s, 0 * time_s, -1 - 0.1 * np.sin(time_s)], axis=1)
    take = Take(time_s, np.zeros(count, int), weights, turn, place)
    write_scene(take, [rig], tmp_path / "all.glb")
    write_scene(take, [rig], tmp_path / "few.glb", tolerance=0.01)
    assert (tmp_path / "few.glb").stat().st_size < (tmp_path / "all.glb").stat().st_size
    every, few = read_glb(tmp_path / "all.glb"), read_glb(tmp_path / "few.glb")
    assert every.document["nodes"] == few.document["nodes"]
    for channel in few.document["animations"][0]["channels"]:
        number, path = channel["sampler"], channel["target"]["path"]
        times, values = (
            read_accessor(few, few.document["animations"][0]["samplers"][number][k]) for k in ("input", "output")
        )
        truth = read_accessor(every, every.document["animations"][0]["samplers"][number]["output"])
        truth, values = truth.reshape(count, -1), values.reshape(len(times), -1)
        keys = np.searchsorted(time_s.astype(np.float32), times[:, 0])
        np.testing.assert_array_equal(truth[keys], values)
        assert len(keys) < 60
        if path == "rotation":
            assert off_by_rad(played_turns(time_s, truth, keys), truth).max() <= 0.01
        else:
            assert np.abs(played(time_s, truth, keys) - truth).max() <= 0.01 * (0.25 if path == "translation" else 1)


def test_bad_tolerance(face_path, tmp_path):
    with pytest.raises(ValueError, match="tolerance -1: expected 0"):
        write_scene(make_take(1), [load_rig(face_path)], tmp_path / "out.glb", tolerance=-1)
