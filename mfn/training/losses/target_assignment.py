"""The assignment of target faces to the network's cells. It returns indices, never losses.

A GPU works on while the CPU goes ahead; only where the size of a tensor depends on values does the CPU have to wait for it. Here this is so
once, for the number of pairs.

Letters: B pictures, M target faces of the whole batch, A cells of a picture, P pairs of a face and a cell.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# Stride -> smallest and largest face that it is assigned, in cells. Neighbors overlap by a fifth. The strides 16, 32
# and 64 are one head on the picture at full, half and quarter size, so a face of any size appears at about the same
# size in one of them.
FACE_CELLS: dict[int, tuple[float, float]] = {8: (0.0, 5.6), 16: (2.5, 7.2), 32: (3.3, 7.2), 64: (3.3, float("inf"))}
RADIUS_SHARE = 0.35  # a face is assigned the cells around its center, as far as this share of its size
MIN_RADIUS_CELLS, MAX_RADIUS_CELLS = 0.5, 1.0
IGNORE_RADIUS = 1.6  # cells up to this factor farther away are ignored
IGNORE_SIZES = (0.6, 1.6)  # ignored as well: strides for which the face is too small or too large by up to these factors


class Assignment(NamedTuple):
    """Pairs of a face and a cell.

    Attributes:
        picture: (P,) long, the picture of each pair, sorted.
        cell: (P,) long, the index of the cell in its picture.
        face: (P,) long, the index of the face in the batch.
        ignored: (B, A) bool, cells that are neither face nor background.
    """

    picture: Tensor
    cell: Tensor
    face: Tensor
    ignored: Tensor


@torch.no_grad()
def assign_targets(box: Tensor, image: Tensor, centers: Tensor, strides: Tensor, pictures: int) -> Assignment:
    """Assign faces to cells by size and distance. If two faces claim the same cell, the smaller one gets it.

    Args:
        box: (M, 4) x1 y1 x2 y2, px. M may be 0.
        image: (M,) long, the picture of each face.
        centers: (A, 2) x y of the cells in px, from `mfn.structures.cells.grid`.
        strides: (A,) px, from the same function.
        pictures: B.
    """
    cells = len(centers)
    if len(box) == 0:
        empty = torch.zeros(0, dtype=torch.long, device=box.device)
        return Assignment(empty, empty, empty, torch.zeros(pictures, cells, dtype=torch.bool, device=box.device))
    middle = (box[:, :2] + box[:, 2:]) / 2
    size = ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])).clamp(min=1).sqrt()  # (M,)
    span = size[:, None] / strides[None]  # (M, A) size in cells
    smallest, largest = torch.zeros_like(strides), torch.zeros_like(strides)  # (A,)
    for stride, (low, high) in FACE_CELLS.items():  # a lookup by `strides.tolist()` would wait for the device
        here = strides == stride
        smallest, largest = smallest.masked_fill(here, low), largest.masked_fill(here, high)
    offset = ((centers[None] - middle[:, None]).abs() / strides[None, :, None]).amax(-1)  # (M, A) distance in cells
    radius = (RADIUS_SHARE * span).clamp(MIN_RADIUS_CELLS, MAX_RADIUS_CELLS)
    claimed = (span >= smallest) & (span < largest) & (offset <= radius + 1e-4)
    order = size.argsort(descending=True, stable=True)
    place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=box.device))  # (M,) of each face in this order
    claim = torch.where(claimed, place[:, None], -1)  # (M, A)
    smallest_claim = torch.full((pictures, cells), -1, device=box.device)
    smallest_claim.scatter_reduce_(0, image[:, None].expand_as(claim), claim, "amax")
    # Cells of a neighboring stride, or just outside the radius, may predict the face or not.
    near = offset <= (radius * IGNORE_RADIUS).clamp(max=0.4 * span.clamp(min=2))
    ambiguous = near & (span > smallest * IGNORE_SIZES[0]) & (span < largest * IGNORE_SIZES[1])
    assigned = smallest_claim >= 0
    ignored = cells_of_any(ambiguous & ~claimed, image, pictures) & ~assigned
    picture, cell = assigned.nonzero(as_tuple=True)
    return Assignment(picture, cell, order[smallest_claim[picture, cell]], ignored)


def cells_of_any(chosen: Tensor, image: Tensor, pictures: int) -> Tensor:
    """Collect the cells that several faces or regions choose.

    Args:
        chosen: (M, A) bool, the cells of each.
        image: (M,) long, the picture of each.
        pictures: B.

    Returns:
        (B, A) bool.
    """
    counts = torch.zeros(pictures, chosen.shape[1], dtype=torch.int32, device=chosen.device)
    return counts.index_add_(0, image, chosen.int()) > 0
