"""`mfn annotate`: turn photos into a pack of training data that `mfn fit` reads.

Boxes come from our own network, landmarks from MediaPipe, labels from a fit of the head model to the landmarks. What was found in each
photo is kept in a folder of part files next to the output until the pack is complete, so that a stopped run continues where it was.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mfn.fitting.annotation_pack import (
    LabelRules,
    check_replaced,
    fit_labels,
    gather_parts,
    labels_path,
    remove_parts,
    save_arrays,
    write_pack,
)
from mfn.inference.model_zoo import SINGLE_FACE_WEIGHTS
from retarget.io.files import file_digest, make_folder, one_line_error
from retarget.io.images import Image, encode_jpeg, read_image

if TYPE_CHECKING:
    from mfn.fitting.landmarker import Landmarker
    from mfn.inference.predictor import Predictor
    from mfn.inference.single_face import SingleFace
    from mfn.structures.head_model import HeadModel

Arrays = dict[str, NDArray[Any]]
People = Literal["unknown", "folder"]

MAX_SIDE_LIMITS_PX = (64, 3000)  # landmarks inside of the photo are stored as 16-bit numbers
_PART_FORMAT = 3  # part files of another format are not used again


@dataclass(frozen=True)
class AnnotateOptions:
    """Options of `annotate`."""

    #: MediaPipe's face_landmarker.task.
    landmarker: str = "face_landmarker.task"
    #: Detect each face in several views and merge them: slower, finds more faces, more accurate.
    multi_view: bool = True
    #: Photos whose longer side is larger are shrunk to it, px.
    max_side_px: int = 1600
    #: "folder": the photos of one folder show one person, who gets one identity.
    people: People = "unknown"
    #: Print no summary.
    quiet: bool = False
    #: Also fit the colors of the photos (`mfn.fitting.photometric`).
    photometric: bool = False
    #: Some faces wink: keep the lids of each eye as they are fitted, errors included (`mfn.fitting.expression_prior.even_eyes`).
    winks: bool = False
    #: Label by MediaPipe alone: neither our networks nor priors that were learned from research photos take part.
    mediapipe_only: bool = False


class AnnotationModels(NamedTuple):
    """The models that annotate a photo.

    Attributes:
        landmarker: finds the landmarks.
        predictor: finds faces that the landmarker misses; None: the landmarker alone.
        single: refines the predictor's faces; None if there is no predictor.
        head_model: the head model of all faces.
        key: what the landmarks and boxes depend on, see `_key_of_models`.
    """

    landmarker: Landmarker
    predictor: Predictor | None
    single: SingleFace | None
    head_model: HeadModel
    key: str


def annotate(
    predictor: Predictor | None,
    photos: Sequence[str],
    out: str | Path,
    options: AnnotateOptions,
    on_photo: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Annotate photos and write a pack: OUT.npz (what was found), OUT.tar (the photos as JPEG) and labels/OUT.npz.

    Args:
        predictor: finds faces that the landmarker misses; None: the landmarker alone.
        photos: files.
        out: the .npz file to write.
        options: see `AnnotateOptions`.
        on_photo: called after each photo with the number of finished photos and their total.

    Returns:
        0, the exit code. Photos that cannot be read are reported on standard error and left out.

    Raises:
        ValueError: an option is not valid, a file that is no pack would be replaced, or no photo could be read.
        FileNotFoundError: the landmarker's file or a photo does not exist.
        ImportError: MediaPipe is missing.
    """
    from mfn.fitting.landmarker import Landmarker
    from mfn.inference.single_face import SingleFace
    from mfn.structures.head_model import HeadModel

    out = Path(out)
    if options.mediapipe_only:
        predictor = None
    _check_options(out, options)
    paths = [Path(photo) for photo in photos]
    parts, read, errors = [], [], []
    with Landmarker(options.landmarker) as landmarker:
        folder = make_folder(out.with_suffix(".parts"))
        single = SingleFace.load() if predictor is not None else None
        models = AnnotationModels(landmarker, predictor, single, HeadModel.load(), _key_of_models(options.landmarker, predictor))
        for number, path in enumerate(paths, 1):
            try:
                parts.append(_annotate_photo(path, folder, models, options))
                read.append(path)
            except (ValueError, OSError, ImportError, MemoryError) as error:
                errors.append(one_line_error(error))
            on_photo(number, len(paths))
    for line in errors:
        print(f"mfn: {line}", file=sys.stderr)
    if not parts:
        with suppress(OSError):  # part files of another run stay
            folder.rmdir()
        raise ValueError(f"none of {len(paths)} photos could be read, so nothing was written")
    pack = gather_parts(parts, read)
    rules = LabelRules(options.people == "folder", options.photometric, options.winks, learned=not options.mediapipe_only)
    labels = fit_labels(pack, parts, rules)
    write_pack(out, parts, pack, labels)
    remove_parts(folder)
    if not options.quiet:
        faces = f"{len(pack['face_picture'])} faces, {int(labels['ok'].sum())} with accepted labels"
        files = f"{out}, {out.with_suffix('.tar')} and {labels_path(out)}"
        print(f"{len(parts)} photos ({len(errors)} not readable), {faces}; wrote {files}")
    return 0


def _check_options(out: Path, options: AnnotateOptions) -> None:
    """Raise an error if an option is not valid."""
    if out.suffix != ".npz":  # `mfn fit` reads no NAME.NPZ
        raise ValueError(f"--out {out}: expected a name that ends in .npz, such as runs/mine/faces.npz")
    check_replaced(out)
    if options.people not in get_args(People):
        raise ValueError(f"--people {options.people}: expected {' or '.join(get_args(People))}")
    low, high = MAX_SIDE_LIMITS_PX
    if not low <= options.max_side_px <= high:
        raise ValueError(f"--max-side {options.max_side_px}: expected {low} to {high} px")
    if options.photometric:
        from mfn.fitting.photometric import INSTALL_HINT, has_pytorch3d

        if not has_pytorch3d():
            print(f"mfn: --photometric goes on without priors on the mesh: {INSTALL_HINT}", file=sys.stderr)


def _key_of_models(landmarker: str, predictor: Predictor | None) -> str:
    """Describe the models: the landmarker's file, and the networks with their options if they take part."""
    file = file_digest(landmarker) if Path(landmarker).is_file() else landmarker
    return file if predictor is None else f"{file}, {predictor.fingerprint()}, {file_digest(SINGLE_FACE_WEIGHTS)}"


def _annotate_photo(path: Path, folder: Path, models: AnnotationModels, options: AnnotateOptions) -> Path:
    """Return the part file of a photo, and make it if it does not exist.

    The name of the part file depends on the photo's size and time, on the models and on the options. So changed photos are read again.
    """
    stat = path.stat()
    key = (
        _PART_FORMAT, path.resolve(), stat.st_size, stat.st_mtime_ns, options.multi_view, options.max_side_px, models.key,
    )  # fmt: skip
    part = folder / f"{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.npz"
    if not part.is_file():
        image = _shrunk(read_image(path), options.max_side_px)
        save_arrays(part, _detect(image, models, options.multi_view))
    return part


def _shrunk(image: Image, max_side_px: int) -> Image:
    """Shrink an image (H, W, 3) whose longer side is larger than `max_side_px`."""
    import cv2

    factor = max_side_px / max(image.shape[:2])
    if factor >= 1:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _detect(image: Image, models: AnnotationModels, multi_view: bool) -> Arrays:
    """Detect the faces of an image (H, W, 3). Returns the arrays of its part file."""
    from mfn.fitting.landmarker import VIEWS
    from mfn.fitting.multi_view import blend_with_network, detect_faces

    faces = models.predictor(image) if models.predictor is not None else None
    boxes = faces.box if faces is not None else np.zeros((0, 4), np.float32)
    result, spread = detect_faces(image, models.landmarker, boxes, VIEWS if multi_view else (), alone=faces is None)
    if faces is not None and models.landmarker.names:
        refined = models.single.refine(image, faces) if models.single is not None else faces
        blended = blend_with_network(result, refined, models.head_model, models.landmarker.names)
        result = blended[: len(result)]  # faces that only the network found stay boxes without labels
    return {
        "points": result.points,
        "scores": result.scores,
        "rotation": result.rotation,
        "spread": spread,
        "names": np.array(models.landmarker.names),
        "box": boxes,
        "box_score": faces.score if faces is not None else np.zeros(0, np.float32),
        "size": np.array(image.shape[1::-1], np.int32),
        "jpeg": np.frombuffer(encode_jpeg(image), np.uint8),
    }
