"""The figures of networks of one face: parameters, dense landmarks and position maps."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")
from mfn.models.position_map import MAP_SIZE  # noqa: E402
from mfn.structures.cells import CELL_SIZE, PARAMETER_SIZE  # noqa: E402
from mfn.structures.crop_geometry import CROP_SIZE  # noqa: E402
from mfn.training.metrics.crops import CropFigures  # noqa: E402
from mfn.training.single_face.losses import PositionMapLoss  # noqa: E402
from tests.helpers.training import MODEL, crop_faces, exact_parameters, targets_of  # noqa: E402


def test_exact_parameters_have_no_error():
    faces, figures = crop_faces(10), CropFigures()
    figures.update(exact_parameters(faces), targets_of(faces), CROP_SIZE)
    found = figures.compute()
    assert float(found["nme"]) < 0.05 and float(found["rotation_error_deg"]) < 0.2
    assert float(found["expression_gain"]) == pytest.approx(1, abs=0.01)
    assert figures.compute() == {}, "computing begins again"


def test_the_parameters_at_the_end_of_a_cell_are_read():
    faces, figures = crop_faces(10), CropFigures()
    parameters = exact_parameters(faces)
    box = torch.full((len(faces), CELL_SIZE - PARAMETER_SIZE), 3.0)
    figures.update(torch.cat([box, parameters], 1), targets_of(faces), CROP_SIZE)
    assert float(figures.compute()["nme"]) < 0.05


def test_exact_landmarks_have_no_error():
    faces, figures = crop_faces(4), CropFigures()
    points = MODEL.landmarks(faces, "dense520") / CROP_SIZE
    figures.update(torch.from_numpy(points.astype(np.float32)), targets_of(faces), CROP_SIZE)
    dense = float(figures.compute()["nme"])
    maps = PositionMapLoss().target_maps(targets_of(faces)).unflatten(2, (MAP_SIZE, MAP_SIZE))
    figures.update(maps, targets_of(faces), CROP_SIZE)
    assert dense < 3 and float(figures.compute()["nme"]) < 3
    figures.update(maps + 0.1, targets_of(faces), CROP_SIZE)
    assert float(figures.compute()["nme"]) > 10
