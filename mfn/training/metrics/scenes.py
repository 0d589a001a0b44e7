"""The figures of a multi-face network on batches of scenes."""

from __future__ import annotations

from typing import cast

import numpy as np
from torch import Tensor, nn

from mfn.inference.decode import decode
from mfn.structures.faces import Faces
from mfn.structures.head_model import default_head_model
from mfn.structures.metrics import match_faces
from mfn.training.data.batch import TARGET_FIELDS, Batch
from mfn.training.metrics.box_figures import MIN_IOU, BoxFigures
from mfn.training.metrics.face_figures import FaceFigures

MIN_SCORE = 0.05  # detections with a lower score change the average precision little


class SceneFigures(nn.Module):
    """Accumulate detection, pose, landmarks and expression of the faces of scenes.

    Labeled faces that a detection of any score matches enter the figures of `FaceFigures`; all faces and detections those of `BoxFigures`.
    Scenes whose faces all come from packs with hand-drawn boxes also have figures of their own: drawn_box_ap50 and drawn_box_recall50.
    """

    def __init__(self) -> None:
        super().__init__()
        self.boxes, self.drawn_boxes = BoxFigures(), BoxFigures()
        self.faces = FaceFigures(default_head_model())

    def update(self, cells: Tensor, batch: Batch) -> Faces:
        """Add a batch.

        Args:
            cells: (B, A, D) cells of the network, after its refinement.
            batch: Pictures and targets.

        Returns:
            The detected faces; `image` is the number of the scene.
        """
        height, width = batch.picture.shape[2:]
        found = decode(cells.float().cpu().numpy(), height, width, score=MIN_SCORE)
        target, labeled = faces_of(batch), batch.has_labels.cpu().numpy()
        ignored, ignored_in = batch.ignore_box.cpu().numpy(), batch.ignore_image.cpu().numpy()
        hand_drawn, nothing = batch.hand_drawn.cpu().numpy(), np.zeros((0, 4), np.float32)
        for number in range(len(batch.picture)):
            rows, seen = np.flatnonzero(target.image == number), found[found.image == number]
            boxes = target.box[rows], ignored[ignored_in == number], seen.box, seen.score
            self.boxes.update(*boxes)
            # Processes of a distributed training exchange what they have, so each needs an entry, also of other scenes.
            self.drawn_boxes.update(*(boxes if hand_drawn[number] else (nothing, nothing, nothing, nothing[:, 0])))
            true = target[rows[labeled[rows]]]
            match = match_faces(true, seen, MIN_IOU)
            self.faces.update(true[match.target], seen[match.pred])
        return found

    def compute(self) -> dict[str, Tensor]:
        """Return the figures by name, and begin again."""
        drawn = {f"drawn_{name}": value for name, value in self.drawn_boxes.compute().items()}
        figures = cast("dict[str, Tensor]", self.boxes.compute() | drawn | self.faces.compute())
        for part in (self.boxes, self.drawn_boxes, self.faces):
            part.reset()
        return figures


def faces_of(batch: Batch) -> Faces:
    """Return the target faces of a batch; `image` is the number of the scene."""
    image = batch.image.cpu().numpy().astype(np.int32)
    fields = {name: getattr(batch, name).float().cpu().numpy() for name in TARGET_FIELDS}
    return Faces(image=image, score=np.ones(len(image), np.float32), track=np.full(len(image), -1, np.int32), **fields)
