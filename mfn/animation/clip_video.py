"""Draw characters over the frames of a clip and write them as a video with the clip's sound.

The video is written in segments, each a complete file, which are joined at the end. So a stopped run keeps what it
has drawn.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from mfn.animation.options import AnimateOptions, Hooks
from mfn.structures.faces import Faces
from mfn.video.reader import Clip, read_frames
from mfn.video.writer import SegmentWriter, concat_segments
from retarget.io.files import file_digest
from retarget.io.images import Image
from retarget.performance.take import Take
from retarget.render.scene import render_scene
from retarget.rig.rig import Rig

_SEGMENT_FRAMES = 300


@dataclass(frozen=True)
class TrackedTake:
    """A take, and the tracked faces that it was made from."""

    take: Take
    faces: Faces
    """N faces, one for each sample of the take; `faces.image` is the frame of the clip."""
    focal_px: float
    """Focal length of the camera, px."""


@dataclass(frozen=True)
class VideoJob:
    """What is drawn, and where to."""

    source: str
    """The video file."""
    clip: Clip
    """Its size and rate."""
    frames: int
    """How many frames to draw, from the first on."""
    tracked: TrackedTake
    """The people."""
    rigs: Sequence[Rig]
    """The characters; people take them in turn."""
    out: Path
    """The .mp4 file to write."""
    folder: Path
    """Where segments are kept."""
    options: AnimateOptions
    """How to draw."""


def draw_video(job: VideoJob, hooks: Hooks) -> int:
    """Draw frame by frame and write the video. Frames that an earlier run drew are not drawn again.

    Args:
        job: What to draw.
        hooks: `on_drawn` is called and `should_stop` asked after each frame.

    Returns:
        The number of frames in the video.
    """
    key = _drawing_key(job)
    segments = sorted(job.folder.glob(f"{key}-*.mp4"))
    done = int(segments[-1].stem.rpartition("-")[2]) if segments else 0
    frames = islice(_drawn_frames(job, done), job.frames - done)
    stopped = False
    while not stopped and (first := next(frames, None)) is not None:
        unfinished, count = job.folder / "unfinished.mp4", 0
        with SegmentWriter(unfinished, job.clip.width, job.clip.height, job.clip.fps) as writer:
            for time_s, image in chain([first], islice(frames, _SEGMENT_FRAMES - 1)):
                writer.add(time_s, image)
                count += 1
                hooks.on_drawn(done + count, job.frames)
                stopped = hooks.should_stop()
                if stopped:
                    break
        done += count
        os.replace(unfinished, job.folder / f"{key}-{done:08d}.mp4")
    concat_segments(sorted(job.folder.glob(f"{key}-*.mp4")), job.out, Path(job.source) if job.clip.sound else None, job.options.start_s)
    return done


def _drawing_key(job: VideoJob) -> str:
    """Name what the drawn frames depend on: segments with another key are not used again."""
    options, take, faces = job.options, job.tracked.take, job.tracked.faces
    digest = hashlib.sha256()
    for array in (take.time_s, take.actor, take.coefficients, take.rotation, take.translation, faces.image):
        digest.update(np.ascontiguousarray(array).tobytes())
    for rig in job.rigs:  # with all that was read: a .gltf file has its surfaces in others
        digest.update(json.dumps(rig.glb.document, sort_keys=True, default=str).encode())
        digest.update(rig.glb.binary)
    part = options.start_s, options.end_s, os.path.getsize(job.source), job.clip.width, job.clip.height
    maps = [file_digest(file) for file in options.maps]
    answer = tuple(options.joints), sorted(options.strength.items()), options.likeness
    digest.update(repr((part, job.tracked.focal_px, options.plain, maps, answer)).encode())
    return digest.hexdigest()[:12]


def _drawn_frames(job: VideoJob, first: int) -> Iterator[tuple[float, Image]]:
    """Yield the time (s) and the image of each frame from number `first` on, with the characters drawn in."""
    take, plain = job.tracked.take, job.options.plain
    rig_of = {int(actor): job.rigs[i % len(job.rigs)] for i, actor in enumerate(take.actors())}
    for number, (time_s, image) in enumerate(read_frames(job.source, job.options.start_s, job.options.end_s)):
        if number < first:
            continue
        height, width = image.shape[:2]
        present = take[job.tracked.faces.image == number]
        # Each person keeps the same rig in all frames.
        rigs = [rig_of[int(actor)] for actor in np.unique(present.actor)] or job.rigs
        background = None if plain else image
        yield time_s, render_scene(present, rigs, width, height, job.tracked.focal_px, background, whole_body=plain)
