"""Which cells of the network answer for which face. Returns indices, never losses.

Letters: B pictures, M true faces of the whole batch, A cells of a picture, P pairs of a face and a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# A stride answers for faces of this many of its cells; neighbours overlap by a fifth. Strides 16, 32 and 64 are one head on the picture at
# full, half and quarter size, so that a face of any size is seen at about the same size.
CELLS: dict[int, tuple[float, float]] = {8: (0.0, 5.6), 16: (2.5, 7.2), 32: (3.3, 7.2), 64: (3.3, float("inf"))}
CENTER_CELLS = 1.0  # cells whose centre is this near to the face's centre (in strides, along x and along y) answer for it


class Assignment(NamedTuple):
    """picture, cell, face: (P,) long, the pairs; ignored: (B, A) bool, cells that are neither face nor background."""

    picture: Tensor
    cell: Tensor
    face: Tensor
    ignored: Tensor


@torch.no_grad()
def assign(box: Tensor, image: Tensor, centers: Tensor, strides: Tensor, pictures: int) -> Assignment:
    """Pairs of faces and cells by size and nearness; of two faces that want one cell the smaller gets it.

    box: (M, 4) x1 y1 x2 y2 px; image: (M,) long picture of each; centers: (A, 2) px and strides: (A,) from `mfn.structures.cells.grid`;
    pictures: B. M = 0 is legal.
    """
    cells = len(centers)
    ignored = torch.zeros(pictures, cells, dtype=torch.bool, device=box.device)
    if len(box) == 0:
        none = torch.zeros(0, dtype=torch.long, device=box.device)
        return Assignment(none, none, none, ignored)
    middle = (box[:, :2] + box[:, 2:]) / 2
    size = ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])).clamp(min=1).sqrt()  # (M,)
    span = size[:, None] / strides[None]  # (M, A) how many cells tall and wide
    limits = torch.tensor([CELLS[int(s)] for s in strides.tolist()], dtype=box.dtype, device=box.device)  # (A, 2)
    smallest, largest = limits[:, 0], limits[:, 1]
    right_size = (span >= smallest) & (span < largest)
    offset = ((centers[None] - middle[:, None]).abs() / strides[None, :, None]).amax(-1)  # (M, A) in strides
    reach = (0.35 * span).clamp(0.5, CENTER_CELLS)
    near = offset <= reach + 1e-4
    pair = right_size & near
    # the cell belongs to the smallest of the faces of its picture that want it
    face, cell = pair.nonzero(as_tuple=True)
    order = size[face].argsort(descending=True, stable=True)
    face, cell = face[order], cell[order]
    owner = torch.full((pictures * cells,), -1, dtype=torch.long, device=box.device)
    for_cell = image[face] * cells + cell
    owner[for_cell] = face  # later (smaller) faces overwrite
    kept = owner[for_cell] == face
    face, cell = face[kept], cell[kept]
    # cells near a face's centre at a neighbouring stride, or just outside its reach, may see it without being asked to
    blurry = (offset <= (reach * 1.6).clamp(max=0.4 * span.clamp(min=2))) & (span > smallest * 0.6) & (span < largest * 1.6)
    m, a = (blurry & ~pair).nonzero(as_tuple=True)
    ignored[image[m], a] = True
    ignored[image[face], cell] = False
    return Assignment(image[face], cell, face, ignored)
