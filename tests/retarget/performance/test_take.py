"""Take: what it accepts, selection, files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retarget.performance.take import Footage, Take
from tests.helpers.characters import make_take


def arrays(count=2, **changed):
    plain = {
        "time_s": np.arange(count),
        "actor": np.zeros(count, int),
        "coefficients": np.zeros((count, 52)),
        "rotation": np.tile([0, 0, 0, 2.0], (count, 1)),
        "translation": np.zeros((count, 3)),
    }
    return {**plain, **changed}


def test_types_and_unit_length():
    take = Take(**arrays())
    assert take.time_s.dtype == np.float64 and take.actor.dtype == np.int32 and take.coefficients.dtype == np.float32
    assert (take.rotation == [0, 0, 0, 1]).all() and len(take) == 2


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"time_s": 3.0}, r"time_s: expected shape"),
        ({"actor": np.zeros(3, int)}, r"actor: expected shape \(2,\), got \(3,\)"),
        ({"actor": np.array([0.5, 1])}, "actor: expected numbers that fit int32"),
        ({"coefficients": np.zeros((2, 51))}, r"coefficients: expected shape \(2, 52\), got \(2, 51\)"),
        ({"coefficients": np.full((2, 52), np.nan)}, "coefficients: expected finite numbers"),
        ({"translation": np.array([[0, 0, 0], [0, np.inf, 0]])}, "others in 1 of 2 samples"),
        ({"rotation": np.zeros((2, 4))}, "unit quaternions"),
        ({"time_s": np.array(["a", "b"])}, "time_s: expected numbers"),
    ],
)
def test_refuses(changed, message):
    with pytest.raises(ValueError, match=message):
        Take(**arrays(**changed))


@pytest.mark.parametrize("actor", [[1, 2**32 + 1], [-(2**31) - 1, 0], np.array([1, 2**64 - 1], np.uint64)])
def test_refuses_actors_that_would_merge(actor):
    with pytest.raises(ValueError, match=r"Take.actor: expected numbers that fit int32, got -?\d+ to \d+$"):
        Take(**arrays(actor=np.asarray(actor)))


def test_actors_are_any_numbers_of_32_bits():
    actor = np.array([-(2**31), 2**31 - 1])
    assert Take(**arrays(actor=actor)).actor.tolist() == actor.tolist()


def test_selection_and_order():
    take = make_take(3, 4)
    assert len(take[take.actor == 3]) == 4 and len(take[0]) == 1 and len(take[2:5]) == 3
    assert len(take[take.actor == 99]) == 0
    again = Take.concatenate([take[take.actor == actor] for actor in take.actors()])
    assert sorted(again.time_s) == sorted(take.time_s) and list(again.actors()) == [1, 3, 5]
    assert len(Take.concatenate([])) == 0 == len(Take.empty()) == len(Take.empty().actors())


@pytest.mark.parametrize("take", [make_take(2, 3), Take.empty()])
def test_file_round_trip(take, tmp_path):
    take.save(tmp_path / "a.npz")
    back = Take.load(tmp_path / "a.npz")
    for name in ("time_s", "actor", "coefficients", "translation"):
        assert (getattr(back, name) == getattr(take, name)).all()
    np.testing.assert_allclose(back.rotation, take.rotation, atol=1e-7)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_the_footage_stays_with_the_take(tmp_path):
    footage = Footage(640, 480, 700.5, 30000 / 1001, "clip é.mp4")
    take = replace(make_take(2, 3), footage=footage)
    take.save(tmp_path / "a.npz")
    assert Take.load(tmp_path / "a.npz").footage == take[1:3].footage == Take.concatenate([take, take]).footage == footage
    assert make_take(1).footage == Footage() and Footage(width=3).known() == {"width": 3}
    with pytest.raises(ValueError, match=r"Footage.fps: expected a number above 0, got 0"):
        Footage(fps=0)


def test_bad_files(tmp_path):
    path = tmp_path / "a.npz"
    make_take(2, 3).save(path)
    whole = path.read_bytes()
    contents = [b"", b"not a take", whole[: len(whole) // 2], whole[:100]]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a readable"):
            Take.load(path)
    np.savez(path, time_s=np.zeros(1))
    with pytest.raises(ValueError, match="it lacks actor, coefficients"):
        Take.load(path)
    np.savez(path, **arrays(time_s=np.array([{}, {}], object)))
    with pytest.raises(ValueError, match="not a readable"):
        Take.load(path)
    np.savez(path, **arrays(rotation=np.zeros((2, 4))))
    with pytest.raises(ValueError, match="unit quaternions"):
        Take.load(path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        Take.load(tmp_path / "b.npz")
    with pytest.raises(FileNotFoundError, match="folder does not exist"):
        Take.empty().save(tmp_path / "none" / "a.npz")
