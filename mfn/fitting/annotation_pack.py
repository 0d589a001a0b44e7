"""The pack that `mfn annotate` writes: part files of single photos joined, labels fitted, and all files written.

Letters: F faces of the pack.
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.fitting.blendshape_calibration import scores_to_expression
from mfn.structures.camera import FRONTAL
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.files import atomic_write
from retarget.io.images import decode_image

if TYPE_CHECKING:
    from mfn.fitting.fit_basis import FitBasis
    from mfn.fitting.fitter import FitResult
    from mfn.structures.head_model import HeadModel

Arrays = dict[str, NDArray[Any]]

LANDMARK_STEP_PX = 0.1  # landmarks are stored as multiples of it
_PART_NAME = re.compile(r"[0-9a-f]{24}\.npz|\.[0-9a-f]{16}\.npz")  # whole ones, and what a killed run left
_MEMBER = "{:06d}.jpg"  # name of a photo in the tar file


def gather_parts(parts: Sequence[Path], photos: Sequence[Path]) -> Arrays:
    """Join the part files of all photos.

    Args:
        parts: one .npz file for each photo.
        photos: the photos, in the same order.

    Returns:
        The arrays of a pack, as `mfn.training.packs.reader` reads them.
    """
    rows: dict[str, list[NDArray[Any]]] = {}
    names: NDArray[Any] = np.zeros(0)
    for number, part in enumerate(parts):
        with np.load(part, allow_pickle=False) as data:
            values = {key: data[key] for key in data.files if key not in ("jpeg", "path")}  # older versions wrote a path
        names = values["names"] if len(values["names"]) else names
        values["picture"] = np.full(len(values["points"]), number, np.int32)
        values["box_picture"] = np.full(len(values["box"]), number, np.int32)
        values["size"] = values["size"][None]
        for key, value in values.items():
            rows.setdefault(key, []).append(value)
    joined = {key: np.concatenate(value) for key, value in rows.items() if key != "names"}
    steps = np.rint(joined["points"] / LANDMARK_STEP_PX)
    fits = np.abs(steps).max(initial=0) <= np.iinfo(np.int16).max  # else a landmark lies far outside of its photo
    transform = np.tile(np.eye(4, dtype=np.float32), (len(joined["picture"]), 1, 1))
    transform[:, :3, :3] = FRONTAL @ joined["rotation"]
    return {
        "picture_size": joined["size"],
        "picture_name": np.array([str(photo) for photo in photos]),
        "face_picture": joined["picture"],
        "face_landmarks": steps.astype(np.int16 if fits else np.int32),
        "landmark_scale": np.array(LANDMARK_STEP_PX, np.float32),
        "face_blendshapes": np.rint(joined["scores"] * 255).astype(np.uint8),
        "blendshape_names": names,
        "face_transform": transform,
        "face_spread": joined["spread"],
        "box_picture": joined["box_picture"],
        "box": joined["box"],
        "box_scale": np.array(1, np.float32),
        "box_score": joined["box_score"],
    }


class LabelRules(NamedTuple):
    """How labels are fitted.

    Attributes:
        one_person_a_folder: the photos of a folder show one person, who gets one identity.
        photometric: also fit the colors of the photos.
        winks: keep the lids of each eye as they are fitted; otherwise both eyes get the same.
        learned: use the priors that were learned from research photos (`teacher.npz`, `people.npz`).
    """

    one_person_a_folder: bool = False
    photometric: bool = False
    winks: bool = False
    learned: bool = True


def fit_labels(pack: Arrays, parts: Sequence[Path], rules: LabelRules) -> Arrays:
    """Fit the head model to the landmarks of all faces.

    Args:
        pack: from `gather_parts`.
        parts: the part files, which hold the photos.
        rules: how.

    Returns:
        The arrays of the labels' file: pose, identity, expression and box of each face, whether it was accepted, and its person.
    """
    import torch

    from mfn.fitting.expression_prior import even_eyes, look_down
    from mfn.fitting.fit_basis import basis_from_head_model
    from mfn.fitting.fitter import fit_people, fit_to_faces, label_confidence
    from mfn.structures.head_model import HeadModel

    model = HeadModel.load()
    basis = basis_from_head_model(model, learned=rules.learned)
    count = len(pack["face_picture"])
    points = torch.from_numpy(pack["face_landmarks"].astype(np.float32) * pack["landmark_scale"])
    expression = np.zeros((0, len(EXPRESSION_NAMES)), np.float32)
    if count:
        scores = pack["face_blendshapes"].astype(np.float32) / 255
        expression = scores_to_expression(scores, pack["blendshape_names"].tolist())
    person = _people_by_folder(pack) if rules.one_person_a_folder else np.full(count, -1)
    found = fit_people(points, torch.from_numpy(expression), torch.from_numpy(person), basis)
    if rules.photometric:
        found = _refine_by_color(found, pack["face_picture"], parts, model, basis)
    rotation = (FRONTAL @ pack["face_transform"][:, :3, :3]).astype(np.float32)
    quality = label_confidence(found, points, torch.from_numpy(rotation))
    names = ("rotation", "scale", "center", "identity", "expression", "residual")
    if not rules.winks:
        found = replace(found, expression=even_eyes(found.expression, found.rotation))
    found = replace(found, expression=look_down(found.expression, torch.from_numpy(expression)))
    return {name: getattr(found, name).numpy() for name in names} | {
        "box": fit_to_faces(found, model).box,
        "ok": quality.ok.numpy(),
        "confidence": quality.confidence.numpy(),
        "person": person,
        "face": np.arange(count, dtype=np.int32),
        **({"track": person.astype(np.int32)} if rules.one_person_a_folder else {}),  # by which people are held out
    }


def check_replaced(out: Path) -> None:
    """Check that what a pack would replace is an earlier pack.

    Args:
        out: the .npz file of the pack; its tar file and its labels are checked too.

    Raises:
        ValueError: one of them exists and is something else.
    """
    tar, labels = out.with_suffix(".tar"), labels_path(out)
    for path, is_ours in (
        (out, _has_arrays(out, "face_landmarks")), (tar, _is_tar_of_pack(tar)), (labels, _has_arrays(labels, "ok"))
    ):  # fmt: skip
        if path.exists() and not is_ours:
            raise ValueError(f"{path}: expected no file, or one of an earlier pack, which is replaced; choose another name with --out")


def remove_parts(folder: Path) -> None:
    """Remove the part files of a folder, and the folder if nothing else is in it."""
    for file in list(folder.iterdir()):
        if _PART_NAME.fullmatch(file.name):
            file.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


def write_pack(out: Path, parts: Sequence[Path], pack: Arrays, labels: Arrays) -> None:
    """Write the photos' tar file, the labels and last the pack, each whole or not at all."""

    def write_tar(path: Path) -> None:
        with tarfile.open(path, "w") as tar:
            for number, part in enumerate(parts):
                content = _jpeg_of(part)
                member = tarfile.TarInfo(_MEMBER.format(number))
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

    atomic_write(out.with_suffix(".tar"), write_tar)
    labels_path(out).parent.mkdir(exist_ok=True)
    save_arrays(labels_path(out), labels)
    save_arrays(out, pack)


def labels_path(out: Path) -> Path:
    """Return the path of the labels that belong to a pack."""
    return out.parent / "labels" / out.name


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write an .npz file whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # to a path without .npz NumPy would append it
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    atomic_write(path, write)


def _has_arrays(path: Path, name: str) -> bool:
    """Return whether a file is an .npz file with an array of this name."""
    try:
        with zipfile.ZipFile(path) as arrays:
            return f"{name}.npy" in arrays.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _is_tar_of_pack(path: Path) -> bool:
    """Return whether a file holds the photos of a pack: their names are numbers, and they have no time."""
    try:
        with tarfile.open(path, "r:") as tar:
            return all((member.name, member.mtime) == (_MEMBER.format(number), 0) for number, member in enumerate(tar))
    except (OSError, tarfile.TarError):
        return False


def _people_by_folder(pack: Arrays) -> NDArray[np.int64]:
    """Number the people (F,): the largest face of each photo is the person of the photo's folder, all others are -1."""
    person = np.full(len(pack["face_picture"]), -1)
    if not len(person):
        return person
    folders = [str(Path(str(name)).parent.resolve()) for name in pack["picture_name"]]
    _, folder = np.unique(folders, return_inverse=True)
    size = np.ptp(pack["face_landmarks"][..., :2].astype(np.float32), axis=1).prod(1)
    order = np.lexsort((-size, pack["face_picture"]))
    _, first = np.unique(pack["face_picture"][order], return_index=True)
    largest = order[first]
    person[largest] = folder[pack["face_picture"][largest]]
    return person


def _refine_by_color(
    found: FitResult, picture_of: NDArray[np.int32], parts: Sequence[Path], model: HeadModel, basis: FitBasis
) -> FitResult:
    """Refine the fits by the colors of their photos. picture_of: (F,) index of each face's part file."""
    import torch

    from mfn.fitting.fitter import FitResult
    from mfn.fitting.photometric import refine

    rows, refined = [], []
    for number in np.unique(picture_of):
        image = decode_image(_jpeg_of(parts[number]))
        own = torch.from_numpy(np.flatnonzero(picture_of == number))
        rows.append(own)
        refined.append(refine(found[own], [image] * len(own), model, basis))
    if not refined:
        return found
    order = torch.argsort(torch.cat(rows))
    return FitResult(*(torch.cat([getattr(part, name) for part in refined])[order] for name in FitResult.__dataclass_fields__))


def _jpeg_of(part: Path) -> bytes:
    """Read the photo of a part file, as JPEG."""
    with np.load(part, allow_pickle=False) as data:
        return bytes(data["jpeg"].tobytes())
