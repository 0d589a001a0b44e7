"""`FaceFinder`: runs the multi-face network over the tiles of a picture, and keeps each face once.

Letters: B pictures in a batch, H W size of the network input in px, A cells, D numbers of a cell, N faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfn.inference.decode import decode
from mfn.inference.input.letterbox import letterbox_image, make_letterbox, unletterbox
from mfn.inference.input.passes import InputLimits, Pass, Tile, is_reported, longer_side
from mfn.inference.nms import merge
from mfn.inference.sessions.onnx_session import read_metadata, run
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from mfn.structures.network_metadata import NetworkMetadata, Size
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnxruntime

_NO_METADATA = NetworkMetadata("multi_face", Size(640, 384))


class Found(NamedTuple):
    """N faces, and the height (N,) of each in the network input that it was found in, px."""

    faces: Faces
    height_px: NDArray[np.float32]


class FaceFinder:
    """Finds the faces of a picture with a multi-face network."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        """Wrap a session of ONNX Runtime: a network with input `image` (B, H, W, 3) uint8 RGB and output `cells` (B, A, D)."""
        self.session = session
        self.metadata = read_metadata(Path("network"), session) or _NO_METADATA
        height, width = session.get_inputs()[0].shape[1:3]
        fixed = Size(width, height) if isinstance(height, int) and isinstance(width, int) else None
        self.limits = InputLimits(self.metadata.input_multiple, fixed, self.metadata.face_range)
        """What the network takes and finds."""

    def find(self, picture: Image, passes: Sequence[Pass], score: float) -> Found:
        """Find the faces of a picture in all tiles of all passes, each face once, best score first.

        Args:
            picture: (H, W, 3) uint8 RGB.
            passes: The scales and tiles at which it is read.
            score: Smallest probability of a face that is reported.
        """
        height, width = picture.shape[:2]
        found, factors = [Faces.empty(IDENTITY_SIZE)], [np.zeros(0, np.float32)]
        for part in passes:
            for tile in part.tiles:
                faces = self._find_in_tile(picture, tile, part.factor, score)
                faces = faces[is_reported(faces.box, tile, part, height, width)]
                found.append(faces)
                factors.append(np.full(len(faces), part.factor, np.float32))
        together, factor = Faces.concatenate(found), np.concatenate(factors)
        if len(found) > 2:
            size, (low, high) = longer_side(together.box) * factor, self.limits.face_range
            # A coarse pass may take a small head and its shoulders for a larger face: it must not win over the face in it.
            seen = np.minimum(1, size / (2 * low))
            rows = merge(together.box, together.score, np.minimum(seen, high / np.maximum(size, 1)), whole=seen)
            together, factor = together[rows], factor[rows]
        return Found(together, (together.box[:, 3] - together.box[:, 1]) * factor)

    def _find_in_tile(self, picture: Image, tile: Tile, factor: float, score: float) -> Faces:
        """Find the faces of a part of a picture, in px of the picture."""
        box = make_letterbox(tile.height, tile.width, factor, self.limits.multiple, self.limits.fixed_size)
        pixels = letterbox_image(picture[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width], box)
        raw = decode(self.cells(pixels[None]), box.height, box.width, score=score, strides=self.metadata.strides)
        faces, corner = unletterbox(raw, box), np.array([tile.x, tile.y], np.float32)
        return faces.replace(box=faces.box + np.tile(corner, 2), center=faces.center + corner)

    def cells(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network alone.

        Args:
            image: (B, H, W, 3) uint8 RGB.

        Returns:
            (B, A, D) raw cells; see `mfn.structures.cells`.

        Raises:
            ValueError: If the network fails, for example for lack of memory.
        """
        return run(self.session, {"image": image}, "cells")
