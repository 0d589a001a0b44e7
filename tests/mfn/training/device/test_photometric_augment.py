"""Effects on batches of pictures."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from mfn.training.device import photometric_augment as augment  # noqa: E402


def batch(count: int = 6, side: int = 32) -> torch.Tensor:
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(count, 3, 5, 5), size=(side, side), mode="bilinear")
    return 255 * smooth


@pytest.mark.parametrize(
    "effect",
    [
        augment.jitter_colors,
        augment.degrade,
        lambda x: augment.lower_resolution(x, (8, 16), 0.4),
        lambda x: augment.occlude(x, x.flip(0), 0.8),
    ],
)
def test_pictures_stay_pictures(effect):
    x = batch()
    before = x.clone()
    y = effect(x)
    assert y.shape == x.shape and torch.isfinite(y).all() and y.min() >= -1e-3 and y.max() <= 255.001
    assert torch.equal(x, before) and not torch.equal(y, x)


def test_degraded_pictures_hold_whole_values():
    y = augment.degrade(batch(10))
    assert torch.equal(y, y.round())


def test_jpeg_is_close_to_a_real_jpeg_file():
    torch.manual_seed(0)
    x = batch(1, 64).round()
    ours = augment._jpeg(x)[0].permute(1, 2, 0).numpy()
    picture = x[0].permute(1, 2, 0).numpy().astype(np.uint8)
    errors = []
    for quality in (30, 90):
        real = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        errors.append(np.abs(real.astype(float) - picture).mean())
    assert 0.3 * min(errors) < np.abs(ours - picture).mean() < 3 * max(errors)


def test_a_lower_resolution_removes_fine_detail():
    noise = 255 * torch.rand(4, 3, 32, 32)
    blurred = augment.lower_resolution(noise, (8,), 1.0)
    assert blurred.std() < 0.7 * noise.std()
