"""Put characters in the places of the people in one photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mfn.animation.bridge import faces_to_take
from mfn.animation.options import AnimateOptions, AnimateResult, Hooks
from mfn.animation.output import WriteOptions, write_take
from mfn.animation.people.choose import choose_people, neutral_calibration, read_neutral, write_people_sheet
from mfn.animation.people.looks import people_of_image, personal_rigs
from mfn.inference.predictor import Predictor
from mfn.structures.faces import Faces
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.files import make_folder
from retarget.io.images import Image, read_image
from retarget.performance.calibrate import apply_calibration
from retarget.rig.rig import Rig


def animate_photo(
    predictor: Predictor,
    source: str,
    rigs: Sequence[Rig],
    out: Path,
    options: AnimateOptions,
    hooks: Hooks,
) -> AnimateResult:
    """Detect the faces of a photo and write characters with their poses and expressions.

    Args:
        predictor: Detects the faces.
        source: Image file.
        rigs: The characters; people take them in turn.
        out: File to write (see `mfn.animation.output.write_take`).
        options: How to write it.
        hooks: Called while the work goes on.

    Raises:
        ValueError: There is no face in the photo. Nothing is written then.
    """
    hooks.on_stage("detecting faces")
    image = read_image(source)
    faces = predictor(image)
    if not len(faces):
        raise ValueError(f"{source}: no face found, so nothing was written (try a lower --score, or a lower --min-face for small faces)")
    return animate_faces(Photo(source, image, faces), rigs, out, options, hooks, read_neutral(predictor, options.neutral))


class Photo(NamedTuple):
    """A photo whose faces were detected: its file, (H, W, 3) uint8 RGB, and its N faces."""

    source: str
    image: Image
    faces: Faces


def animate_faces(
    photo: Photo, rigs: Sequence[Rig], out: Path, options: AnimateOptions, hooks: Hooks, neutral: Faces | None = None
) -> AnimateResult:
    """Write characters in the places of faces that were detected before.

    Args:
        photo: The photo and its faces, at least one.
        rigs, out, options, hooks: See `animate_photo`.
        neutral: The people at rest. None: no such photo.
    """
    source, image, faces = photo
    height, width = image.shape[:2]
    focal_px = options.focal_px or default_focal_px(width, height)
    numbered = faces.replace(track=np.arange(len(faces)))
    faces = choose_people(numbered, options.people, options.drop)
    if options.people_sheet is not None:
        write_people_sheet(options.people_sheet, {0: image}, numbered.replace(image=np.zeros(len(numbered))))
    take = faces_to_take(faces, (width, height), focal_px)
    if neutral is not None:
        take = apply_calibration(take, neutral_calibration(neutral, faces))
    notes: Sequence[str] = ()
    if options.likeness and rigs:
        rigs, notes = personal_rigs(rigs, people_of_image(image, faces), options.likeness)
    make_folder(out.parent)
    hooks.on_stage(f"writing {out}")
    settings = replace(WriteOptions.of(options, source, (width, height), focal_px), image=image)
    sheet = [] if options.people_sheet is None else [options.people_sheet]
    return AnimateResult(files=[*write_take(take, rigs, out, settings), *sheet], people=len(take.actors()), notes=notes)
