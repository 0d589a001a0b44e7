"""The figures of scenes: those of hand-drawn boxes apart."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")
pytest.importorskip("lightning")
from mfn.structures.cells import CELL_SIZE, SLICES, grid  # noqa: E402
from mfn.training.data.batch import Batch, collate  # noqa: E402
from mfn.training.losses.target_assignment import assign_targets  # noqa: E402
from mfn.training.metrics.scenes import SceneFigures  # noqa: E402
from tests.helpers.faces import write_cells  # noqa: E402
from tests.helpers.training import two_face_scene  # noqa: E402


def exact_cells(batch: Batch, scenes: list[int]) -> torch.Tensor:
    """Return cells that find the faces of some scenes exactly, and nothing in the others."""
    center, stride = grid(128, 128)
    cells = np.zeros((len(batch.picture), len(center), CELL_SIZE), np.float32)
    cells[..., SLICES["score"]] = -12
    pairs = assign_targets(batch.box, batch.image, torch.from_numpy(center), torch.from_numpy(stride), len(cells))
    faces = two_face_scene().faces
    for picture, cell, face in zip(pairs.picture.tolist(), pairs.cell.tolist(), pairs.face.tolist(), strict=True):
        if picture in scenes:
            row = faces[[face % len(faces)]].replace(score=np.array([0.9]))
            cells[picture, cell] = write_cells(row, center[[cell]], stride[[cell]])[0]
    return torch.from_numpy(cells)


@pytest.mark.parametrize(("hand_drawn", "expected"), [((True, False), 100.0), ((False, True), 0.0), ((True, True), 50.0)])
def test_hand_drawn_boxes_have_figures_of_their_own(hand_drawn, expected):
    batch = collate([two_face_scene()._replace(hand_drawn=drawn) for drawn in hand_drawn])
    figures = SceneFigures()
    figures.update(exact_cells(batch, [0]), batch)
    found = figures.compute()
    assert float(found["box_ap50"]) == pytest.approx(50, abs=1) and float(found["nme"]) < 1
    assert float(found["drawn_box_ap50"]) == pytest.approx(expected, abs=1)
    assert float(found["drawn_box_recall50"]) == pytest.approx(expected)


def test_without_hand_drawn_boxes_their_figures_are_left_out():
    batch, figures = collate([two_face_scene()]), SceneFigures()
    figures.update(exact_cells(batch, [0]), batch)
    assert not [name for name in figures.compute() if name.startswith("drawn")]
