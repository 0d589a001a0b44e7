"""`mfn annotate`: photos of one's own -> a pack that `mfn fit` reads. Landmarks by MediaPipe, boxes by our own network, labels by fitting.

For `--out runs/mine/faces.npz` there will be `runs/mine/faces.npz` (what was found), `faces.tar` (the photos as JPEG) and
`labels/faces.npz` (pose, identity and expression of each face); `mfn fit` takes it as the source `runs/mine/faces`. What is done already
waits in `faces.parts/`, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tarfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.structures.camera import FRONTAL
from retarget.io.files import atomic_write, make_folder, one_line_error
from retarget.io.images import Picture, find_images, read_image

if TYPE_CHECKING:
    from mfn.fitting.fitter import FitBasis, FitResult
    from mfn.fitting.landmarker import Landmarker
    from mfn.inference.predictor import Predictor
    from mfn.inference.single_face import SingleFace
    from mfn.structures.head_model import HeadModel

Arrays = dict[str, NDArray]
LANDMARK_SCALE = 0.1  # px a count
JPEG_QUALITY = 95
PART_FORMAT = 2
LONGEST = (64, 3000)  # px; landmarks, which may lie outside of the photo, are kept as 16-bit counts
PEOPLE = ("unknown", "folder")


class AnnotateOptions(NamedTuple):
    """landmarker: MediaPipe's .task file; second_look: look at each face several times; longest: px, larger photos are shrunk to it;
    people: "folder" if the photos of one folder show one person, who then has one identity; quiet: no progress; photometric:
    fit the photos' colours too (`mfn.fitting.photometric`, needs PyTorch3D)."""

    landmarker: str = "face_landmarker.task"
    second_look: bool = True
    longest: int = 1600
    people: str = "unknown"
    quiet: bool = False
    photometric: bool = False


class Eyes(NamedTuple):
    """Who looks at the photos: teacher, our networks (one finds faces, one reads them closer) if asked, the head all speak of."""

    landmarker: Landmarker
    predictor: Predictor | None
    single: SingleFace | None
    model: HeadModel


def annotate(
    predictor: Predictor | None,
    photos: Sequence[str],
    out: str | Path,
    options: AnnotateOptions,
    on_photo: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes the pack. predictor: finds faces that the teacher misses; None: the teacher alone. -> exit code"""
    from mfn.fitting.landmarker import Landmarker
    from mfn.inference.single_face import SingleFace
    from mfn.structures.head_model import HeadModel

    out = Path(out)
    if out.suffix.lower() != ".npz":
        raise ValueError(f"--out {out}: expected a name that ends in .npz, such as runs/mine/faces.npz")
    if options.people not in PEOPLE:
        raise ValueError(f"--people {options.people}: expected {' or '.join(PEOPLE)}")
    if options.photometric:
        from mfn.fitting.photometric import check_pytorch3d

        check_pytorch3d()
    if not LONGEST[0] <= options.longest <= LONGEST[1]:
        raise ValueError(f"--longest {options.longest}: expected {LONGEST[0]} to {LONGEST[1]} px")
    paths = find_images(photos)
    parts, bad = [], []
    with Landmarker(options.landmarker) as landmarker:
        folder = make_folder(out.with_suffix(".parts"))
        eyes = Eyes(landmarker, predictor, SingleFace.load() if predictor is not None else None, HeadModel.load())
        for number, path in enumerate(paths, 1):
            try:
                parts.append(_part(path, folder, eyes, options))
            except (ValueError, OSError) as error:
                bad.append(one_line_error(error))
            on_photo(number, len(paths))
    for line in bad:
        print(f"mfn: {line}", file=sys.stderr)
    good = [part for part in parts if part.is_file()]
    if not good:
        with suppress(OSError):  # what another run has left there stays
            folder.rmdir()
        raise ValueError(f"none of {len(paths)} photos could be read, so nothing was written")
    pack = _gather(good)
    labels = _fit(pack, good, options)
    _write_all(out, good, pack, labels)
    shutil.rmtree(folder)
    if not options.quiet:
        kept = f"{len(pack['face_picture'])} faces, {int(labels['ok'].sum())} with labels to trust"
        print(f"{len(good)} photos ({len(bad)} bad), {kept}; wrote {out}, {out.with_suffix('.tar')} and {_labels_path(out)}")
    return 0


def _part(path: Path, folder: Path, eyes: Eyes, options: AnnotateOptions) -> Path:
    """One photo's file of what was seen in it; made unless it is there."""
    stat = path.stat()
    said = (PART_FORMAT, path.resolve(), stat.st_size, stat.st_mtime_ns, options.second_look, options.longest, eyes.predictor is None)
    part = folder / f"{hashlib.sha256(repr(said).encode()).hexdigest()[:24]}.npz"
    if not part.is_file():
        picture = _shrunk(read_image(path), options.longest)
        _save(part, _see(picture, eyes, options) | {"path": np.array(str(path))})
    return part


def _shrunk(picture: Picture, longest: int) -> Picture:
    import cv2

    factor = longest / max(picture.shape[:2])
    if factor >= 1:
        return picture
    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _see(picture: Picture, eyes: Eyes, options: AnnotateOptions) -> Arrays:
    """What teacher and network see in one picture, and the picture itself as JPEG."""
    import cv2

    from mfn.fitting.landmarker import VIEWS, blend_with_network, detect_faces

    landmarker, predictor = eyes.landmarker, eyes.predictor
    faces = predictor(picture) if predictor is not None else None
    boxes = faces.box if faces is not None else np.zeros((0, 4), np.float32)
    seen, spread = detect_faces(picture, landmarker, boxes, VIEWS if options.second_look else ())
    if faces is not None and landmarker.names:  # faces that the network alone sees stay boxes without labels
        closer = eyes.single.refine(picture, faces) if eyes.single is not None else faces
        seen = blend_with_network(seen, closer, eyes.model, landmarker.names)[: len(seen.points)]  # type: ignore[assignment]
    coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return {
        "points": seen.points,
        "scores": seen.scores,
        "rotation": seen.rotation,
        "spread": spread,
        "names": np.array(landmarker.names),
        "box": boxes,
        "box_score": faces.score if faces is not None else np.zeros(0, np.float32),
        "size": np.array(picture.shape[1::-1], np.int32),
        "jpeg": coded.reshape(-1),
    }


def _gather(parts: Sequence[Path]) -> Arrays:
    """All photos' files as one pack, in the form of the packs that the network was trained on."""
    rows: dict[str, list[NDArray]] = {}
    names: NDArray = np.zeros(0)
    for number, part in enumerate(parts):
        with np.load(part, allow_pickle=False) as data:
            values = {key: data[key] for key in data.files if key != "jpeg"}
        names = values["names"] if len(values["names"]) else names
        values["picture"] = np.full(len(values["points"]), number, np.int32)
        values["box_picture"] = np.full(len(values["box"]), number, np.int32)
        values["size"], values["path"] = values["size"][None], values["path"][None]
        for key, value in values.items():
            rows.setdefault(key, []).append(value)
    joined = {key: np.concatenate(value) for key, value in rows.items() if key != "names"}
    transform = np.tile(np.eye(4, dtype=np.float32), (len(joined["picture"]), 1, 1))
    transform[:, :3, :3] = FRONTAL @ joined["rotation"]
    return {
        "picture_size": joined["size"],
        "picture_name": joined["path"],
        "face_picture": joined["picture"],
        "face_landmarks": np.rint(joined["points"] / LANDMARK_SCALE).astype(np.int16),
        "landmark_scale": np.float32(LANDMARK_SCALE),
        "face_blendshapes": np.rint(joined["scores"] * 255).astype(np.uint8),
        "blendshape_names": names,
        "face_transform": transform,
        "face_spread": joined["spread"],
        "box_picture": joined["box_picture"],
        "box": joined["box"],
        "box_scale": np.float32(1),
        "box_score": joined["box_score"],
    }


def _fit(pack: Arrays, parts: Sequence[Path], options: AnnotateOptions) -> Arrays:
    """Labels of the pack's faces: the head model fitted to their landmarks, jointly for the pictures of one person."""
    import torch

    from mfn.fitting.fitter import basis_from_head_model, fit_people, fit_to_faces, label_confidence
    from mfn.structures.head_model import HeadModel

    model = HeadModel.load()
    count = len(pack["face_picture"])
    points = torch.from_numpy(pack["face_landmarks"].astype(np.float32) * pack["landmark_scale"])
    scores = pack["face_blendshapes"].astype(np.float32) / 255
    teacher = scores_to_expression(scores, pack["blendshape_names"].tolist()) if count else np.zeros((0, 51), np.float32)
    person = _people(pack, options)
    basis = basis_from_head_model(model)
    found = fit_people(points, torch.from_numpy(teacher), torch.from_numpy(person), basis)
    if options.photometric:
        found = _refined(found, pack["face_picture"], parts, model, basis)
    ok, sure = label_confidence(found, points, torch.from_numpy((FRONTAL @ pack["face_transform"][:, :3, :3]).astype(np.float32)))
    out = {name: getattr(found, name).numpy() for name in ("rotation", "scale", "center", "identity", "expression", "residual")}
    out["box"] = fit_to_faces(found, model).box
    return out | {"ok": ok.numpy(), "confidence": sure.numpy(), "person": person, "face": np.arange(count, dtype=np.int32)}


def _refined(found: FitResult, picture_of: NDArray, parts: Sequence[Path], model: HeadModel, basis: FitBasis) -> FitResult:
    """The fits after a look at the photos' colours, photo by photo. picture_of: (F,) index of each face's part."""
    import cv2
    import torch

    from mfn.fitting.fitter import FitResult
    from mfn.fitting.photometric import refine

    rows, done = [], []
    for number in np.unique(picture_of):
        with np.load(parts[number], allow_pickle=False) as data:
            picture = np.asarray(cv2.imdecode(data["jpeg"], cv2.IMREAD_COLOR))[..., ::-1]
        mine = torch.from_numpy(np.flatnonzero(picture_of == number))
        rows.append(mine)
        done.append(refine(found[mine], [np.ascontiguousarray(picture)] * len(mine), model, basis))
    if not done:
        return found
    order = torch.argsort(torch.cat(rows))
    return FitResult(*(torch.cat([getattr(part, name) for part in done])[order] for name in FitResult.__dataclass_fields__))


def _people(pack: Arrays, options: AnnotateOptions) -> NDArray[np.int64]:
    """(F,) which person each face is, -1 unknown: with people="folder" the largest face of each photo is the folder's person."""
    person = np.full(len(pack["face_picture"]), -1)
    if options.people == "unknown" or not len(person):
        return person
    _, folder = np.unique([str(Path(str(name)).parent) for name in pack["picture_name"]], return_inverse=True)
    size = np.ptp(pack["face_landmarks"][..., :2].astype(np.float32), axis=1).prod(1)
    order = np.lexsort((-size, pack["face_picture"]))
    _, first = np.unique(pack["face_picture"][order], return_index=True)
    largest = order[first]
    person[largest] = folder[pack["face_picture"][largest]]
    return person


def _write_all(out: Path, parts: Sequence[Path], pack: Arrays, labels: Arrays) -> None:
    """Tar, labels and at last the pack: each whole or not at all."""
    atomic_write(out.with_suffix(".tar"), lambda temporary: _write_tar(temporary, parts))
    _labels_path(out).parent.mkdir(exist_ok=True)
    _save(_labels_path(out), labels)
    _save(out, pack)


def _write_tar(path: Path, parts: Sequence[Path]) -> None:
    with tarfile.open(path, "w") as tar:
        for number, part in enumerate(parts):
            with np.load(part, allow_pickle=False) as data:
                coded = data["jpeg"].tobytes()
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = len(coded)
            tar.addfile(member, io.BytesIO(coded))


def _labels_path(out: Path) -> Path:
    return out.parent / "labels" / out.name


def _save(path: Path, arrays: Arrays) -> None:
    # The stub of savez_compressed takes the arrays for options.
    atomic_write(path, lambda temporary: np.savez_compressed(temporary, **arrays))  # type: ignore[arg-type]
