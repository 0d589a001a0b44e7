"""Choose how much the face reader counts beside the multi-face network in pose, identity and expression of a face (`Share`), and beside
the eye reader in squints, and how much the portrait reader counts beside them.

    python -m experiments.accuracy.ablation.reader_share --data ../shared/data --labels labels

The photos are held out from training and have labels. Each is read at its own size and with the face made HEIGHTS_PX high. For each
share of the pose, and of the identity, the script reports the mean distance of the head's 68 points from those of the label,
in percent of the face's size, for all faces and by yaw. For each share of the expression, without the eyes, it reports the mean
error of a weight, and the means of correlation and gain (slope of the regression line) over the shapes that vary; for some shares, those
of each shape. For each share of the face reader in squints, it reports error, correlation and gain of eyeSquintLeft and eyeSquintRight;
for each spread (`ReadingRules`), those of the expression with the shares in use. For each share of the portrait reader it reports both,
with the shares in use of the others, and for each share in the eyes (`ReadingRules.eyes`) those of their shapes. It writes
experiments/results/ablation/reader_share.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from experiments.accuracy.expression.laid_faces import follow
from experiments.common import RESULTS, Figures, add_packs_option, make_parser, packs_of, save_report
from mfn.inference.model_zoo import find_model
from mfn.inference.predictor import Predictor
from mfn.inference.readers.face_reader import CANDIDATE_SCORE, mean_faces, mix
from mfn.inference.readers.reading_rules import ReadingRules, Share
from mfn.structures.boxes import box_iou
from mfn.structures.crop_geometry import EYE_COLUMNS, EYE_SHAPES
from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel
from mfn.training.packs.reader import read_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import Image

RESULT = RESULTS / "ablation" / "reader_share.json"
PACKS = ("youtube", "lfw", "masks_without", "expressions")
HEIGHTS_PX = (None, 120.0, 60.0, 30.0)
SHAPE_SHARES = (0.0, 0.6, 1.0)
SPREADS = (1.0, 1.05, 1.1, 1.15, 1.2)
SHARES = (0.0, 0.25, 0.33, 0.5, 0.6, 0.72, 0.85, 1.0)
EYE_SHARES = (0.0, 0.2, 0.3, 0.5)
YAW_LIMITS_DEG = (0, 30, 60, 180)
SAME_FACE_IOU = 0.25
MAX_FACES = 70  # of a pack
MIN_SPREAD = 0.03  # a shape that varies less in the labels has no meaningful correlation
SQUINTS = [EXPRESSION_NAMES.index(f"eyeSquint{side}") for side in ("Left", "Right")]
NOT_EYES = np.array([not name.startswith("eye") for name in EXPRESSION_NAMES])


class Looked(NamedTuple):
    """One face as the multi-face network found it, as the readers read it, and its label.

    `input_px` is its height in the input, and `all_read` what all readers say of it, by the share in the eyes.
    """

    found: Faces
    read: Faces
    eyes: Faces
    portrait: Faces | None
    all_read: dict[float, Faces]
    label: Faces
    input_px: NDArray[np.float32]


def look(predictor: Predictor, picture: Image, label: Faces, height_px: float | None) -> Looked | None:
    """Let all networks read the face of a label. None if it is not found.

    Args:
        predictor: Multi-face network, face reader and eye reader, and a portrait reader if it has one.
        picture: (H, W, 3) uint8 RGB.
        label: One face.
        height_px: Height to which the face is shrunk or enlarged. None: as it is.
    """
    if height_px is not None:
        factor = height_px / float(label.box[0, 3] - label.box[0, 1])
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        label = label.replace(box=label.box * factor, scale=label.scale * factor, center=label.center * factor)
    assert predictor.reader is not None and predictor.eye_reader is not None
    found = predictor.finder.find(picture, predictor.passes(*picture.shape[:2]), CANDIDATE_SCORE)
    overlap = box_iou(label.box, found.faces.box)[0]
    if overlap.max(initial=0) < SAME_FACE_IOU:
        return None
    row = [int(overlap.argmax())]
    face, height = found.faces[row], found.height_px[row]
    read = predictor.reader.read(picture, face).faces
    rules = predictor.reader.rules
    mixed = mix(face, read, height, rules).replace(refined=np.ones(1, np.bool_))
    eyes = predictor.eye_reader.refine(picture, mixed)
    if predictor.portrait_reader is None:
        return Looked(face, read, eyes, None, {}, label, height)
    portrait = predictor.portrait_reader.refine(picture, mixed, rules=rules._replace(portrait=1.0))
    joined = predictor.portrait_reader.refine(picture, mixed, rules=rules)
    all_read = {share: predictor.eye_reader.refine(picture, joined, None, rules.squint, share) for share in EYE_SHARES}
    return Looked(face, read, eyes, portrait, all_read, label, height)


def errors(looked: Sequence[Looked], model: HeadModel, rules: ReadingRules) -> NDArray[np.float64]:
    """Return the NME of each face in percent, for shares of pose and identity."""
    mixed = [mix(one.found, one.read, one.input_px, rules) for one in looked]
    return landmark_errors(mixed, looked, model)


def landmark_errors(faces: Sequence[Faces], looked: Sequence[Looked], model: HeadModel) -> NDArray[np.float64]:
    """Return the NME of faces, one for each that was looked at, in percent."""
    result = []
    for mixed, one in zip(faces, looked, strict=True):
        off = model.landmarks(mixed, "ibug68")[0, :, :2] - model.landmarks(one.label, "ibug68")[0, :, :2]
        size = np.sqrt(np.prod(one.label.box[0, 2:] - one.label.box[0, :2]))
        result.append(np.linalg.norm(off, axis=1).mean() / size * 100)
    return np.array(result)


def follow_labels(looked: Sequence[Looked], rules: ReadingRules) -> Figures:
    """Return error, correlation and gain of the expression weights except those of the eyes, for the rules of reading."""
    mixed = np.concatenate([mix(one.found, one.read, one.input_px, rules).expression for one in looked])[:, NOT_EYES]
    return agreement(np.concatenate([one.label.expression for one in looked])[:, NOT_EYES], mixed)


def with_portrait(looked: Sequence[Looked], model: HeadModel, rules: ReadingRules, share: float) -> Figures:
    """Return the errors of the landmarks by yaw and how expressions follow, for a share of the portrait reader."""
    mixed = []
    for one in looked:
        assert one.portrait is not None
        mixed.append(mean_faces(mix(one.found, one.read, one.input_px, rules), one.portrait, share, share, share, rules.spread))
    label, weights = (np.concatenate([face.expression for face in faces]) for faces in ([one.label for one in looked], mixed))
    yaw = np.abs([one.label.pitch_yaw_roll_deg[0, 1] for one in looked])
    return by_yaw(landmark_errors(mixed, looked, model), yaw) | agreement(label[:, NOT_EYES], weights[:, NOT_EYES])


def follow_with_share(looked: Sequence[Looked], share: float) -> Figures:
    """Return the same where the face reader has one share in all shapes, `READER_ALONE` too."""
    label, found, read = (np.concatenate([getattr(one, name).expression for one in looked]) for name in ("label", "found", "read"))
    return agreement(label[:, NOT_EYES], (found + share * (read - found))[:, NOT_EYES])


def follow_each_shape(looked: Sequence[Looked]) -> Figures:
    """Return error, correlation and gain of each shape that varies but those of the eyes, for some shares of the face reader."""
    label, found, read = (np.concatenate([getattr(one, name).expression for one in looked]) for name in ("label", "found", "read"))
    varies = [k for k in np.flatnonzero(NOT_EYES) if label[:, k].std() > MIN_SPREAD]
    mixed = {share: found + share * (read - found) for share in SHAPE_SHARES}
    return {
        EXPRESSION_NAMES[k]: {str(share): agreement(label[:, [k]], weights[:, [k]]) for share, weights in mixed.items()} for k in varies
    }


def follow_squints(looked: Sequence[Looked], share: float) -> Figures:
    """Return error, correlation and gain of squints, for a share of the face reader; the eye reader has the rest."""
    names = ("label", "read", "eyes")
    label, face, eyes = (np.concatenate([getattr(one, name).expression for one in looked])[:, SQUINTS] for name in names)
    return agreement(label, eyes + share * (face - eyes))


def follow_eyes(looked: Sequence[Looked], share: float) -> Figures:
    """Return error, correlation and gain of the shapes of both eyes that vary, for a share in the eyes."""
    label = np.concatenate([one.label.expression for one in looked])
    weights = np.concatenate([one.all_read[share].expression for one in looked])
    columns = {shape: EYE_COLUMNS[:, k] for k, shape in enumerate(EYE_SHAPES)}
    return {shape: agreement(label[:, at], weights[:, at]) for shape, at in columns.items() if label[:, at].std(0).min() > MIN_SPREAD}


def agreement(label: NDArray[np.float32], weights: NDArray[np.float32]) -> Figures:
    """Return the mean error of weights (N, E), and the means of correlation and gain over the shapes whose labels (N, E) vary."""
    pairs = np.array([follow(label[:, k], weights[:, k]) for k in np.flatnonzero(label.std(0) > MIN_SPREAD)]).reshape(-1, 2)
    r, gain = pairs.mean(0).round(3).tolist() if len(pairs) else (None, None)
    return {"error": round(float(np.abs(weights - label).mean()), 4), "r": r, "gain": gain}


def by_yaw(error: NDArray[np.float64], yaw_deg: NDArray[np.float64]) -> Figures:
    """Return the means of all faces and by yaw."""
    figures: Figures = {"all": round(float(error.mean()), 3)}
    for low, high in zip(YAW_LIMITS_DEG, YAW_LIMITS_DEG[1:], strict=False):
        rows = (yaw_deg >= low) & (yaw_deg < high)
        if rows.any():
            figures[f"{low}-{high}"] = round(float(error[rows].mean()), 3)
    return figures


def constant(share: float) -> Share:
    """Return the same share for all heights."""
    return Share(1, share, 2, share)


def main() -> None:
    """Run the command."""
    parser = make_parser(__doc__, RESULT)
    parser.add_argument("--data", type=Path, required=True, help="folder with faces/")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the labels")
    parser.add_argument("--network", default="large", help="the multi-face network")
    parser.add_argument("--reader", type=Path, help="the face reader, an ONNX file (default: that of the network)")
    add_packs_option(parser, dict.fromkeys(PACKS, 1.0))
    args = parser.parse_args()
    predictor, model = Predictor.load(args.network, reader=args.reader or True, threads=1), HeadModel.load()
    if predictor.reader is None or predictor.eye_reader is None:
        raise SystemExit(f"--network {args.network}: expected a network with a face reader and an eye reader")
    rules = predictor.reader.rules
    faces: list[tuple[Image, Faces]] = []
    for name in packs_of(args):
        pack = read_pack(args.data / "faces", args.labels, name)
        pack = pack.select(pack.held_out())
        rows = np.flatnonzero(pack.has_labels)
        first = rows[np.unique(pack.faces.image[rows], return_index=True)[1]][:MAX_FACES]
        faces += [(pack.pictures[pack.faces.image[row]], pack.faces[[row]]) for row in first]
    figures: Figures = {}
    for height in HEIGHTS_PX:
        looked = [one for picture, label in faces if (one := look(predictor, picture, label, height)) is not None]
        yaw = np.abs([one.label.pitch_yaw_roll_deg[0, 1] for one in looked])
        title = "own size" if height is None else f"{height:g} px"
        figures[title] = {
            "faces": len(looked),
            "height in the input, median": round(float(np.median([one.input_px[0] for one in looked])), 1),
            "pose": {str(share): by_yaw(errors(looked, model, rules._replace(pose=constant(share))), yaw) for share in SHARES},
            "identity": {str(share): by_yaw(errors(looked, model, rules._replace(identity=constant(share))), yaw) for share in SHARES},
            "expression": {str(share): follow_with_share(looked, share) for share in SHARES},
            "squint": {str(share): follow_squints(looked, share) for share in SHARES},
            "each shape": follow_each_shape(looked),
            "spread": {str(spread): follow_labels(looked, rules._replace(spread=spread)) for spread in SPREADS},
            "shares in use": by_yaw(errors(looked, model, rules), yaw) | follow_labels(looked, rules),
        }
        if predictor.portrait_reader is not None:
            figures[title]["eyes"] = {str(share): follow_eyes(looked, share) for share in EYE_SHARES}
            figures[title]["portrait"] = {str(share): with_portrait(looked, model, rules, share) for share in SHARES}
        print(title, figures[title], flush=True)
    weights = {"network": find_model(args.network).path, "reader": predictor.reader.weights or Path()}
    if predictor.portrait_reader is not None:
        weights["portrait"] = predictor.portrait_reader.weights or Path()
    save_report(args, __file__, {"sizes": figures}, weights)


if __name__ == "__main__":
    main()
