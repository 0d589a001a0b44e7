"""Put characters in the places of the people in a clip: detect frame by frame, track, smooth, write.

A stopped run keeps what is done: an output of the frames so far, and a checkpoint from which `resume` continues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mfn.animation.bridge import faces_to_take
from mfn.animation.checkpoint import (
    ClipDetections,
    checkpoint_folder,
    delete_checkpoint,
    detection_key,
    load_detections,
    save_detections,
)
from mfn.animation.clip_video import TrackedTake, VideoJob, draw_video
from mfn.animation.options import AnimateOptions, AnimateResult, Hooks
from mfn.animation.output import VIDEO_SUFFIX, WriteOptions, write_take
from mfn.animation.people.choose import (
    choose_people,
    neutral_calibration,
    people_of,
    read_neutral,
    sheet_frames,
    write_people_sheet,
)
from mfn.animation.people.looks import people_of_clip, personal_rigs
from mfn.inference.predictor import Predictor
from mfn.inference.readers.frame_memory import FrameMemory
from mfn.structures.faces import Faces
from mfn.video.one_euro import smooth_faces
from mfn.video.reader import Clip, probe, read_frames
from mfn.video.shots import may_be_cut, shot_boundaries, thumbnail, thumbnail_change
from mfn.video.tracking.clip_tracker import track_clip
from mfn.video.tracking.looks import LooksOfClip
from mfn.video.writer import require_pyav
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.files import make_folder
from retarget.performance.calibrate import apply_calibration, calibrate
from retarget.rig.rig import Rig

_CHECKPOINT_FRAMES = 300


@dataclass(frozen=True)
class _Detection:
    """What the detection of a clip's faces needs."""

    predictor: Predictor
    source: str
    clip: Clip
    folder: Path  # of the checkpoint
    hooks: Hooks
    options: AnimateOptions


def animate_clip(
    predictor: Predictor, source: str, rigs: Sequence[Rig], out: Path, options: AnimateOptions, hooks: Hooks
) -> AnimateResult:
    """Detect and track the faces of a clip and write characters with their poses and expressions.

    Args:
        predictor: Detects the faces.
        source: Video file.
        rigs: The characters; people take them in turn.
        out: .glb for an animated scene, .mp4 for a video with the clip's sound, or .npz, .jsonl or .csv for the
            performance alone.
        options: How to write it.
        hooks: Called while the work goes on. `should_stop` ends detecting, and then drawing.

    Raises:
        ValueError: There is no face in the clip, or no such part of it. Nothing is written then.
    """
    video = out.suffix.lower() == VIDEO_SUFFIX
    if video:
        require_pyav()
    clip, folder = _part_of(probe(source), source, options), checkpoint_folder(out)
    neutral = read_neutral(predictor, options.neutral)
    detections = detect_clip(predictor, source, out, options, hooks)
    frames = len(detections.time_s)
    faces = track_people(detections, options)
    tracked = faces_to_tracked_take(choose_people(faces, options.people, options.drop), detections, clip, options, neutral)
    if not len(tracked.take):
        if not detections.complete:
            return AnimateResult(files=(), people=0, frames_done=frames, frames_total=clip.frames, finished=False)
        delete_checkpoint(folder)
        raise ValueError(f"{source}: no face found, so nothing was written (try a lower --score, or a lower --min-face)")
    if options.people_sheet is not None:
        write_people_sheet(options.people_sheet, sheet_frames(source, faces, options.start_s, options.end_s), faces)
    notes: Sequence[str] = ()
    if options.likeness and rigs:
        hooks.on_stage("looking at the people")
        looks = people_of_clip(source, tracked.faces, options.start_s, options.end_s)
        rigs, notes = personal_rigs(rigs, looks, options.likeness)
    hooks.on_stage(f"writing {out}")
    done, files = frames, [out]
    if video:
        done = draw_video(VideoJob(source, clip, frames, tracked, rigs, out, folder, options), hooks)
    else:
        settings = WriteOptions.of(options, source, (clip.width, clip.height), tracked.focal_px)
        files = write_take(tracked.take, rigs, out, settings)
    finished = detections.complete and done == frames
    if finished:
        delete_checkpoint(folder)
    total = frames if detections.complete else clip.frames
    people, found = len(tracked.take.actors()), people_of(faces, detections.time_s)
    sheet = [] if options.people_sheet is None else [options.people_sheet]
    return AnimateResult(
        files=[*files, *sheet], people=people, found=found, frames_done=done, frames_total=total, finished=finished, notes=notes
    )  # fmt: skip


def detect_clip(predictor: Predictor, source: str, out: Path, options: AnimateOptions, hooks: Hooks) -> ClipDetections:
    """Detect the faces of a clip and save them beside `out`, where `animate_clip` finds them with `options.resume`.

    Args:
        predictor, source, out, options, hooks: See `animate_clip`. Of the options, `resume`, `start_s` and `end_s` are used.

    Raises:
        ValueError: The clip has no such part.
    """
    clip, folder = _part_of(probe(source), source, options), checkpoint_folder(out)
    make_folder(out.parent)
    key = detection_key(source, predictor, options.start_s, options.end_s)
    before = load_detections(folder, key) if options.resume else None
    if before is None:
        delete_checkpoint(folder)
    hooks.on_stage("detecting faces")
    return _detect(_Detection(predictor, source, clip, folder, hooks, options), key, before)


def _part_of(clip: Clip, source: str, options: AnimateOptions) -> Clip:
    """Return the clip with the number of frames between `start_s` and `end_s`.

    Raises:
        ValueError: The clip ends before `start_s`, or `end_s` is not after it.
    """
    if options.end_s is not None and options.end_s <= options.start_s:
        raise ValueError(f"--end {options.end_s:g}: expected a time after --start {options.start_s:g}")
    if not clip.frames:
        return clip
    if options.start_s >= clip.duration_s:
        raise ValueError(f"--start {options.start_s:g}: expected a time within the clip; {source} is {clip.duration_s:.1f} s long")
    end_s = clip.duration_s if options.end_s is None else min(options.end_s, clip.duration_s)
    return clip._replace(frames=max(1, round((end_s - options.start_s) * clip.fps)))


def track_people(detections: ClipDetections, options: AnimateOptions) -> Faces:
    """Track the people, without false detections, and smooth their motion.

    Args:
        detections: Faces of the first frames of the clip.
        options: `people` is used.
    """
    cuts = shot_boundaries(detections.change)
    looks = detections.looks if detections.looks.shape[1] else None
    faces = track_clip(detections.faces, detections.time_s, cuts, options.people, looks=looks)
    return smooth_faces(faces, detections.time_s, cuts)


def faces_to_tracked_take(
    faces: Faces, detections: ClipDetections, clip: Clip, options: AnimateOptions, neutral: Faces | None
) -> TrackedTake:
    """Place tracked faces in the scene, and calibrate them.

    Args:
        faces: N faces with tracks.
        detections: Times of the frames.
        clip: The clip.
        options: `focal_px` and `calibrate` are used.
        neutral: The people at rest. None: no such photo.
    """
    focal_px = options.focal_px or default_focal_px(clip.width, clip.height)
    take = faces_to_take(faces, (clip.width, clip.height), focal_px, detections.time_s)
    take = replace(take, footage=replace(take.footage, fps=clip.fps))
    if neutral is not None:
        take = apply_calibration(take, neutral_calibration(neutral, faces))
    return TrackedTake(calibrate(take) if options.calibrate else take, faces, focal_px)


def _detect(job: _Detection, key: str, before: ClipDetections | None) -> ClipDetections:
    """Detect the faces of every frame that `before` lacks, until the clip ends or the user stops the run.

    In a crowd of more faces than are read in a frame, the turns of the readers begin anew after a stop.
    """
    if before is not None and before.complete:
        return before
    read = not job.predictor.free  # the looks were learned from research photos
    parts, times, changes, looks = [Faces.empty()], list[float](), list[float](), LooksOfClip(read)
    if before is not None:
        parts, times, changes = [before.faces], before.time_s.tolist(), before.change.tolist()
        looks = LooksOfClip(read, [before.looks])
    known, previous, complete, memory = len(times), None, True, FrameMemory()

    def so_far(complete: bool) -> ClipDetections:
        return ClipDetections(Faces.concatenate(parts), np.array(times), np.array(changes), looks.numbers(), complete)

    for number, (time_s, image) in enumerate(read_frames(job.source, job.options.start_s, job.options.end_s)):
        if job.hooks.should_stop():
            complete = False
            break
        if number < known - 1:  # the last known frame is read again, for its thumbnail
            continue
        small = thumbnail(image)
        if number >= known:
            change = thumbnail_change(previous, small)
            if may_be_cut(change):
                memory = FrameMemory()  # other people now stand at the same places
            faces = job.predictor(image, video=True, memory=memory)
            parts.append(faces.replace(image=np.full(len(faces), number)))
            looks.add(image, faces, time_s)
            times.append(time_s)
            changes.append(change)
            job.hooks.on_frame(number + 1, job.clip.frames)
            if (number + 1) % _CHECKPOINT_FRAMES == 0:
                save_detections(job.folder, key, so_far(complete=False))
        previous = small
    detections = so_far(complete)
    save_detections(job.folder, key, detections)
    return detections
