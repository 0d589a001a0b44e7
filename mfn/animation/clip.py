"""What `mfn animate` does with a clip: find faces frame by frame, follow people, write. Ctrl-C keeps what is done: the
output of it, whole, and a folder OUTPUT.part from which --resume goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import islice
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.animation.bridge import default_focal_px, faces_to_take
from mfn.animation.photo import AnimateOptions, Shot, progress, write_shot
from mfn.structures.faces import Faces
from mfn.video.one_euro import smooth_faces
from mfn.video.reader import Clip, probe, read_frames
from mfn.video.shots import shot_boundaries, thumbnail, thumbnail_change
from mfn.video.tracker import drop_short, track_faces
from mfn.video.writer import PieceWriter, join_pieces, needs_pyav
from retarget.io.files import atomic_write, make_folder
from retarget.io.images import Picture

if TYPE_CHECKING:
    from mfn.inference.predictor import Predictor
    from retarget import Rig, Take

STOPPED = 130
_PIECE = 300  # frames after which what is done is put into the folder
_FACES = tuple(field.name for field in fields(Faces))


class Stop:
    """In a `with`: the first Ctrl-C only sets `asked`, so that what is under way is finished; a second is one."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Found(NamedTuple):
    """Of the first F frames: faces, time_s (F,), change (F,) of the whole picture; whole: whether that is all."""

    faces: Faces
    time_s: NDArray[np.float64]
    change: NDArray[np.float64]
    whole: bool


def film(predictor: Predictor, source: str, rigs: Sequence[Rig], target: Path, options: AnimateOptions) -> int:
    """Characters in place of the people of a clip, as a scene, a take, or an .mp4 with the clip's sound. -> exit code"""
    if target.suffix.lower() == ".mp4":
        needs_pyav()
    clip, part = probe(source), target.with_name(target.name + ".part")
    make_folder(target.parent)
    key = _key(source, predictor)
    before = _load(part, key) if options.resume else None
    if before is None:
        _clear(part)
    with Stop() as stop:
        found = _find(predictor, source, (clip, before), lambda state: _save(part, key, state), stop, options.quiet)
    take, frame, focal_px = follow(found, clip, options)
    if not len(take):
        if not found.whole:
            print(f"mfn: stopped; no face in the first {len(found.time_s)} frames; --resume goes on", file=sys.stderr)
            return STOPPED
        _clear(part)
        raise ValueError(f"{source}: no face was found in it, so nothing was written (a lower --score or a larger --size may help)")
    if target.suffix.lower() == ".mp4":
        done = _render((source, clip, len(found.time_s)), (take, frame, focal_px), rigs, target, options)
        written = [target]
    else:
        written = write_shot(
            Shot(take, focal_px, None, source, (clip.width, clip.height)), rigs, target, options.plain, options.tolerance
        )
        done = len(found.time_s)
    said = ", ".join(map(str, written))
    if not found.whole or done < len(found.time_s):
        whole = f" of about {clip.frames}" if clip.frames else ""
        print(f"mfn: stopped; {said} has the first {done}{whole} frames; --resume goes on", file=sys.stderr)
        return STOPPED
    _clear(part)
    if not options.quiet:
        people = len(take.actors())
        print(f"{people} {'person' if people == 1 else 'people'}; wrote {' and '.join(map(str, written))}")
    return 0


def follow(found: Found, clip: Clip, options: AnimateOptions) -> tuple[Take, NDArray[np.int32], float]:
    """Who is who, calm, in the scene: a take, the frame of each sample, and the focal length."""
    cuts = shot_boundaries(found.change)
    faces = drop_short(track_faces(found.faces, found.time_s, cuts), found.time_s)
    faces = smooth_faces(faces, found.time_s, cuts)
    size = (clip.width, clip.height)
    focal_px = options.focal_px or default_focal_px(*size)
    take = faces_to_take(faces, size, focal_px, found.time_s)
    if options.calibrate:
        from retarget.performance.calibrate import calibrate

        take = calibrate(take)
    return take, faces.image, focal_px


def _find(
    predictor: Predictor, source: str, known: tuple[Clip, Found | None], save: Any, stop: Stop, quiet: bool
) -> Found:
    """Faces of every frame, from where `known` ends on, until the clip ends or somebody asks to stop."""
    clip, before = known
    if before is not None and before.whole:
        return before
    parts, times, change = [Faces.empty()], [], []
    if before is not None:
        parts, times, change = [before.faces], before.time_s.tolist(), before.change.tolist()
    done, last = len(times), None
    whole = True
    for number, (time_s, picture) in enumerate(progress(read_frames(source), "frames", clip.frames or None, quiet)):
        if stop.asked:
            whole = False
            break
        if number < done - 1:
            continue
        small = thumbnail(picture)
        if number >= done:
            faces = predictor(picture)
            parts.append(faces.replace(image=np.full(len(faces), number)))
            times.append(time_s)
            change.append(thumbnail_change(last, small))
            if (number + 1) % _PIECE == 0:
                save(Found(Faces.concatenate(parts), np.array(times), np.array(change), False))
        last = small
    found = Found(Faces.concatenate(parts), np.array(times), np.array(change), whole)
    save(found)
    return found


def _render(
    film_of: tuple[str, Clip, int],
    scene: tuple[Take, NDArray[np.int32], float],
    rigs: Sequence[Rig],
    target: Path,
    options: AnimateOptions,
) -> int:
    """Draws frame after frame, as many as were looked at, into pieces, and joins them with the sound. -> how many frames the
    output has"""
    source, clip, most = film_of
    part = target.with_name(target.name + ".part")
    drawn_with = options.avatars, options.maps, options.joints, options.plain
    said = repr((scene[0].time_s.tobytes(), scene[0].coefficients.tobytes(), scene[2], drawn_with))
    name = hashlib.sha256(said.encode()).hexdigest()[:12]  # what was drawn otherwise is drawn again
    pieces = sorted(part.glob(f"{name}-*.mp4"))
    done = int(pieces[-1].stem.rpartition("-")[2]) if pieces else 0
    with Stop() as stop:
        frames = enumerate(progress(islice(read_frames(source), most), "frames drawn", most, options.quiet))
        for number, (time_s, picture) in frames:
            if number < done:
                continue
            piece, count = part / "unfinished.mp4", 0
            with PieceWriter(piece, clip.width, clip.height, clip.fps) as writer:
                for shown_s, drawn in _drawn(number, (time_s, picture), frames, scene, rigs, options.plain):
                    writer.add(shown_s, drawn)
                    count += 1
                    if stop.asked or count == _PIECE:
                        break
            done += count
            os.replace(piece, part / f"{name}-{done:08d}.mp4")
            if stop.asked:
                break
    join_pieces(sorted(part.glob(f"{name}-*.mp4")), target, Path(source) if clip.sound else None)
    return done


def _drawn(
    number: int,
    first: tuple[float, Picture],
    rest: Iterator[tuple[int, tuple[float, Picture]]],
    scene: tuple[Take, NDArray[np.int32], float],
    rigs: Sequence[Rig],
    plain: bool,
) -> Iterator[tuple[float, Picture]]:
    """Time and picture with characters, of a frame and those after it."""
    from retarget import render_scene

    take, frame, focal_px = scene
    everybody = take.actors()
    rig_of = {int(actor): rigs[i % len(rigs)] for i, actor in enumerate(everybody)}
    time_s, picture = first
    while True:
        height, width = picture.shape[:2]
        mine = take[frame == number]
        # Each with their own rig, whoever else is in the frame.
        own = [rig_of[int(actor)] for actor in np.unique(mine.actor)]
        shown = render_scene(mine, own or rigs, width, height, focal_px, None if plain else picture, whole_body=plain)
        yield time_s, shown
        following = next(rest, None)
        if following is None:
            return
        number, (time_s, picture) = following


def _key(source: str, predictor: Predictor) -> str:
    """What faces that were found depend on: the clip, the network's file and its options."""
    state = os.stat(source)
    network: list[object] = [list(predictor.size), predictor.score]
    if predictor.weights is not None:
        network.append(hashlib.sha256(predictor.weights.read_bytes()).hexdigest())
    return json.dumps([os.path.basename(source), state.st_size, state.st_mtime_ns, network])


def _save(part: Path, key: str, found: Found) -> None:
    part.mkdir(exist_ok=True)
    arrays = {name: getattr(found.faces, name) for name in _FACES}
    arrays |= {"time_s": found.time_s, "change": found.change, "whole": np.array(found.whole), "key": np.array(key)}
    atomic_write(part / "found.npz", lambda temporary: np.savez(temporary, allow_pickle=False, **arrays))


def _load(part: Path, key: str) -> Found | None:
    """What `_save` kept; None if there is nothing, ValueError if it is of something else."""
    if not (part / "found.npz").is_file():
        return None
    try:
        with np.load(part / "found.npz", allow_pickle=False) as data:
            said = str(data["key"])
            faces = Faces(**{name: data[name] for name in _FACES})
            found = Found(faces, data["time_s"], data["change"], bool(data["whole"]))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError):
        raise ValueError(f"{part}: not to be read; leave out --resume to begin anew") from None
    if said != key:
        raise ValueError(f"{part}: of another clip or with another --size or --score; leave out --resume to begin anew")
    return found


def _clear(part: Path) -> None:
    """Away with a folder that this module made."""
    if (part / "found.npz").is_file():
        shutil.rmtree(part)
