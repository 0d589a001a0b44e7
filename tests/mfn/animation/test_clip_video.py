"""What drawn segments of a clip depend on: a stopped run goes on only with what it drew the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mfn.animation.clip_video import TrackedTake, VideoJob, _drawing_key
from mfn.animation.options import AnimateOptions
from mfn.structures.faces import Faces
from mfn.video.reader import Clip
from retarget.performance.take import Take
from retarget.rig.avatars import find_avatar
from retarget.rig.load import load_rig


def take() -> Take:
    rotation = np.array([[0, 0, 0, 1.0]], np.float32)
    return Take(np.zeros(1), np.zeros(1, np.int32), np.zeros((1, 52), np.float32), rotation, np.array([[0, 0, -1.0]], np.float32))


@pytest.fixture
def job(tmp_path) -> VideoJob:
    source = tmp_path / "clip.mp4"
    source.write_bytes(b"clip")
    face_map = tmp_path / "map.json"
    face_map.write_text("{}")
    tracked = TrackedTake(take(), Faces.empty(64), 800.0)
    clip = Clip(width=640, height=384, fps=25.0, frames=1, sound=False)
    options = AnimateOptions(maps=[str(face_map)], strength={"brows": 1.0})
    return VideoJob(str(source), clip, 1, tracked, [load_rig(find_avatar())], tmp_path / "out.mp4", tmp_path, options)


def with_take(job: VideoJob, **changes) -> VideoJob:
    return replace(job, tracked=replace(job.tracked, take=replace(job.tracked.take, **changes)))


def test_the_key_of_a_drawing_depends_on_all_that_is_drawn(job):
    key = _drawing_key(job)
    assert key == _drawing_key(replace(job, rigs=[load_rig(find_avatar())])), "the same character, read again"
    turned = np.array([[0, 0.6, 0, 0.8]], np.float32)
    others = {
        "rotation": with_take(job, rotation=turned),
        "translation": with_take(job, translation=np.array([[0, 0, -2.0]], np.float32)),
        "strength": replace(job, options=replace(job.options, strength={"brows": 1.5})),
        "start": replace(job, options=replace(job.options, start_s=1.0)),
        "avatar": replace(job, rigs=[load_rig(find_avatar("lion"))]),
    }
    keys = {name: _drawing_key(other) for name, other in others.items()}
    Path(job.options.maps[0]).write_text('{"jawOpen": "mouth"}')
    keys["map"] = _drawing_key(job)
    assert key not in keys.values() and len(set(keys.values())) == len(keys)
