"""Drawings of truth and prediction."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
import yaml  # noqa: E402

from mfn.models.position_map import MAP_SIZE  # noqa: E402
from mfn.structures.crop_geometry import CROP_SIZE  # noqa: E402
from mfn.training.optimizer import OneCycle  # noqa: E402
from mfn.training.run.overlays import PREDICTED_COLOR, TRUE_COLOR, Overlays, draw_batch, draw_points  # noqa: E402
from mfn.training.single_face.losses import DenseLandmarkLoss, ParameterLoss, PositionMapLoss  # noqa: E402
from mfn.training.single_face.meta_joint import MetaJointModule  # noqa: E402
from mfn.training.single_face.module import SingleFaceModule  # noqa: E402
from tests.helpers.training import MODEL, crop_faces, exact_parameters, targets_of, tiny_crop_networks  # noqa: E402
from tests.mfn.training.run.runs import CONFIGS  # noqa: E402

QUIET = {"enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
FACES = crop_faces(3)
CROPS = torch.zeros(3, 3, CROP_SIZE, CROP_SIZE, dtype=torch.uint8)
PREDICTIONS = {
    "parameters": lambda: exact_parameters(FACES),
    "dense": lambda: torch.from_numpy(MODEL.landmarks(FACES, "dense520").astype(np.float32) / CROP_SIZE),
    "position map": lambda: PositionMapLoss().target_maps(targets_of(FACES)).unflatten(2, (MAP_SIZE, MAP_SIZE)),
}


def dots(sheet: np.ndarray, color: tuple) -> np.ndarray:
    """Return where a sheet has this color."""
    return (np.abs(sheet.astype(int) - color).max(2) < 8).astype(np.uint8)


@pytest.mark.parametrize("kind", PREDICTIONS)
def test_exact_predictions_lie_where_the_truth_lies(kind):
    import cv2

    sheet = draw_batch((CROPS, targets_of(FACES)), PREDICTIONS[kind](), 2)
    above, below = np.split(sheet, 2)
    true, found = dots(above, TRUE_COLOR), dots(below, PREDICTED_COLOR)
    assert above.shape[1] == 2 * above.shape[0] and true.sum() > 300 and found.sum() > 300
    near = cv2.dilate(true, np.ones((13, 13), np.uint8))  # dense points and cells of a map lie up to 3 px beside a landmark
    assert found[near == 0].sum() == 0 and not dots(above, PREDICTED_COLOR).any()


def test_points_without_a_place_are_left_out():
    crop = np.zeros((64, 64, 3), np.uint8)
    drawn = draw_points(crop, np.array([[np.nan, 3.0], [1e9, -1e9], [10.5, 20.5]]), (255, 0, 0))
    assert drawn.shape == (192, 192, 3) and drawn[61, 31, 0] == 255 and not crop.any()
    assert (drawn[..., 0] > 0).sum() < 40


def test_what_has_no_picture_is_not_drawn():
    features = torch.zeros(3, 20), targets_of(FACES)
    assert draw_batch(features, exact_parameters(FACES), 2) is None
    assert draw_batch((CROPS, targets_of(FACES)), None, 2) is None


@pytest.mark.parametrize("name", ["sfn", "dense", "position map", "meta joint"])
def test_a_training_on_crops_leaves_drawings(name, tmp_path):
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import CSVLogger
    from torch.utils.data import DataLoader

    losses = {"sfn": ParameterLoss, "dense": DenseLandmarkLoss, "position map": PositionMapLoss}
    networks, schedule = tiny_crop_networks(), OneCycle(warmup=1, steps=4)
    if name == "meta joint":
        system = MetaJointModule(networks["regressor"], schedule)
    else:
        system = SingleFaceModule(networks[name], losses[name](), schedule)
    loader = DataLoader([(CROPS, targets_of(FACES))], batch_size=None)
    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=CSVLogger(tmp_path), callbacks=[Overlays(2)], num_sanity_val_steps=0, **QUIET)
    trainer.fit(system, loader, loader)
    (sheet,) = tmp_path.rglob("overlays/step-00000*.jpg")
    assert sheet.stat().st_size > 1000


def test_trainings_on_crops_draw():
    callbacks = yaml.safe_load((CONFIGS / "parts" / "trainer.yaml").read_text())["callbacks"]
    assert callbacks[-1]["class_path"] == f"{Overlays.__module__}.{Overlays.__qualname__}"
