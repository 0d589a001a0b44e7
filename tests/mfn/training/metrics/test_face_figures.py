"""Figures of faces: against slow computations, summed over batches, by yaw and size."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")
from mfn.structures.camera import FRONTAL  # noqa: E402
from mfn.structures.faces import Faces  # noqa: E402
from mfn.structures.metrics import landmark_nme  # noqa: E402
from mfn.training.metrics.face_figures import MIN_FACES, FaceFigures, correlation_and_gain  # noqa: E402
from retarget.geometry.rotations import rotation_about  # noqa: E402
from tests.helpers.training import MODEL, random_faces  # noqa: E402


def turned(count: int, yaw_deg: float) -> Faces:
    """Faces that all look aside by one angle."""
    faces = random_faces(count)
    faces = faces.replace(rotation=np.tile(FRONTAL @ rotation_about("y", np.radians(yaw_deg)), (count, 1, 1)).astype(np.float32))
    return faces.replace(box=MODEL.boxes(faces))


def measured(*batches: tuple[Faces, Faces]) -> dict[str, float]:
    figures = FaceFigures(MODEL)
    for target, pred in batches:
        figures.update(target, pred)
    return {name: float(value) for name, value in figures.compute().items()}


def test_perfect_predictions_have_no_error():
    found = measured((turned(12, 10), turned(12, 10)))
    assert found["nme"] == found["nme_yaw_0_30"] == 0 and found["yaw_error_deg"] == pytest.approx(0, abs=0.1)
    assert found["expression_r"] == pytest.approx(1, abs=1e-3) and found["expression_gain"] == pytest.approx(1, abs=1e-3)
    assert "nme_yaw_60_up" not in found


def test_nme_is_a_mean_over_batches_and_by_yaw():
    near, far = turned(5, 5), turned(3, 45)
    moved = [faces.replace(center=faces.center + shift) for faces, shift in ((near, 4.0), (far, 9.0))]
    found = measured((near, moved[0]), (far, moved[1]))
    slow = [landmark_nme(*pair, MODEL) for pair in ((near, moved[0]), (far, moved[1]))]
    assert found["nme_yaw_0_30"] == pytest.approx(slow[0].mean(), rel=1e-4)
    assert found["nme_yaw_30_60"] == pytest.approx(slow[1].mean(), rel=1e-4)
    assert found["nme"] == pytest.approx(np.concatenate(slow).mean(), rel=1e-4)


def test_the_angle_of_a_turn_is_its_yaw_error():
    found = measured((turned(4, 10), turned(4, 27)))
    assert found["yaw_error_deg"] == pytest.approx(17, abs=0.1) and found["rotation_error_deg"] == pytest.approx(17, abs=0.1)
    assert found["pitch_error_deg"] == pytest.approx(0, abs=0.1)


def test_weaker_expressions_have_a_lower_gain_and_the_same_correlation():
    faces = turned(40, 0)
    weak = faces.replace(expression=faces.expression * 0.5 + 0.1)
    found = measured((faces, weak))
    assert found["expression_gain"] == pytest.approx(0.5, abs=1e-3) and found["expression_r"] == pytest.approx(1, abs=1e-3)
    noisy = faces.replace(expression=np.random.default_rng(0).random(faces.expression.shape).astype(np.float32))
    assert abs(measured((faces, noisy))["expression_r"]) < 0.2


def test_expression_is_given_by_size():
    faces = turned(2 * MIN_FACES, 0)
    half = np.arange(len(faces)) < MIN_FACES
    scale = np.where(half, 120, 500).astype(np.float32)
    faces = faces.replace(scale=scale)
    faces = faces.replace(box=MODEL.boxes(faces))
    pred = faces.replace(expression=np.where(half[:, None], 0.25 * faces.expression, faces.expression))
    found = measured((faces, pred))
    sizes = {name.removeprefix("expression_gain_"): value for name, value in found.items() if name.startswith("expression_gain_")}
    assert sorted(sizes.values()) == pytest.approx([0.25, 1], abs=0.02) and len(sizes) == 2


def test_few_faces_give_no_correlation():
    assert correlation_and_gain(torch.zeros(5, 51), torch.tensor(3.0)) is None
    assert correlation_and_gain(torch.zeros(5, 51), torch.tensor(100.0)) is None, "no shape varies"
    assert measured((turned(0, 0), turned(0, 0))) == {}
