import io

import numpy as np
import PIL.Image
import pytest

from experiments.inspect import readme_gif
from mfn.structures.faces import Faces


def standing(count: int) -> Faces:
    rng = np.random.default_rng(0)
    return Faces(
        image=np.zeros(count),
        box=np.zeros((count, 4)),
        score=np.ones(count),
        rotation=np.tile(np.diag([1.0, -1.0, -1.0]), (count, 1, 1)),
        scale=np.full(count, 300.0),
        center=rng.uniform(50, 250, (count, 2)),
        identity=np.zeros((count, 2)),
        expression=rng.uniform(0, 1, (count, 51)),
        track=np.arange(count),
    )


def test_the_motion_is_smooth_and_repeats():
    moves = readme_gif.moving_faces(standing(3), 24, seed=1)
    assert len(moves) == 24
    expression = np.stack([faces.expression for faces in moves])
    rotation = np.stack([faces.rotation for faces in moves])
    for values in (expression, rotation):
        steps = np.abs(np.diff(values, axis=0, append=values[:1])).max(axis=tuple(range(1, values.ndim)))
        assert steps[-1] <= 2 * steps.max() and 0 < steps.max() < 0.3
    assert expression.min() >= 0 and expression.max() <= 1
    np.testing.assert_allclose(rotation @ rotation.swapaxes(-1, -2), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-5)


def test_the_gif_is_endless_and_small_enough(monkeypatch):
    pages = [np.full((20, 30, 3), 60 * k, np.uint8) for k in range(4)]
    data = readme_gif.encode_gif(pages)
    gif = PIL.Image.open(io.BytesIO(data))
    assert gif.n_frames == 4 and gif.size == (30, 20) and gif.info["loop"] == 0
    monkeypatch.setattr(readme_gif, "MAX_BYTES", 10)
    with pytest.raises(ValueError, match="choose fewer --frames"):
        readme_gif.encode_gif(pages)
