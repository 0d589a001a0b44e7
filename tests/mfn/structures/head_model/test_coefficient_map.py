"""Coefficients of one head model become those of another, with pairs of vertices and without."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mfn.structures.head_model import HeadModel, MapOptions
from tests.helpers.meshes import IDENTITIES, SmallHead, small_head, write_bfm_2017, write_flame_npz, write_ict

pytest.importorskip("scipy")
pytest.importorskip("h5py")
FINE, COARSE = small_head(48, 40), small_head(30, 26)
SHIPPED = HeadModel.load()
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[HeadModel, HeadModel]:
    """Return the same head as ICT-FaceKit (blendshapes) and, on another grid and at another place, as the Basel Face Model."""
    folder = tmp_path_factory.mktemp("heads")
    ict = HeadModel.from_ict(write_ict(folder / "FaceXModel", FINE))
    moved = SmallHead(COARSE.mean + [0.004, -0.01, 0.02], COARSE.identity, COARSE.expression, COARSE.triangles)
    return ict, HeadModel.from_bfm(write_bfm_2017(folder / "bfm.h5", moved))


def heads(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random identities and sparse expressions."""
    weights = RNG.uniform(size=(count, 51)) * (RNG.uniform(size=(count, 51)) < 0.15)
    return RNG.standard_normal((count, IDENTITIES)), weights


def test_by_surfaces(models: tuple[HeadModel, HeadModel]) -> None:
    ict, bfm = models
    found = ict.map_to(bfm)
    assert np.abs(found.matches.frame.rotation - np.eye(3)).max() < 0.02
    assert np.abs(found.matches.frame.translation - [0.004, -0.01, 0.02]).max() < 0.002
    result = found(*heads(20))
    assert result.error_mm.shape == (20,) and result.error_mm.mean() < 0.5
    assert found.typical_error_mm() < 0.5


def test_the_reported_error_is_that_of_the_vertices(models: tuple[HeadModel, HeadModel]) -> None:
    ict, bfm = models
    found = ict.map_to(bfm)
    identity, expression = heads(3)
    result = found(identity, expression)
    ours, theirs = ict.vertices(identity, expression), bfm.vertices(result.identity, result.expression)
    m = found.matches
    for i in range(3):
        place = np.einsum("pki,pk->pi", ours[i][m.corners], m.weight) @ m.frame.rotation.T + m.frame.translation
        distance = np.linalg.norm(theirs[i][m.vertex] - place, axis=1)
        assert result.error_mm[i] == pytest.approx(1000 * float(distance @ m.share), rel=1e-3)


def test_back_again_keeps_weights_within_limits(models: tuple[HeadModel, HeadModel]) -> None:
    ict, bfm = models
    identity, expression = heads(20)
    there, back = ict.map_to(bfm), bfm.map_to(ict)
    middle = there(identity, expression)
    again = back(middle.identity, middle.expression)
    assert again.expression.min() >= 0 and again.expression.max() <= 1
    assert np.corrcoef(again.expression.ravel(), expression.ravel())[0, 1] > 0.9
    assert np.abs(again.identity - identity).mean() < 0.5


def test_a_neutral_face_stays_neutral(models: tuple[HeadModel, HeadModel]) -> None:
    result = models[0].map_to(models[1])(RNG.standard_normal((4, IDENTITIES)), np.zeros((4, 51)))
    assert np.abs(result.expression).max() == 0


@pytest.mark.parametrize("source", [(0, 0), (0, 51), (5, 0)])
@pytest.mark.parametrize("target", [(0, 0), (0, 51), (5, 0), (5, 51)])
def test_models_without_identity_or_expression(source: tuple[int, int], target: tuple[int, int]) -> None:
    """The Basel Face Model of 2009 has no expressions."""
    vertex = np.arange(0, len(SHIPPED.mean), 7)
    options = MapOptions(np.stack([vertex, vertex], 1))
    for one, other in ((source, target), (target, source)):
        found = SHIPPED.first_components(*one).map_to(SHIPPED.first_components(*other), options)
        result = found(np.ones((2, one[0])), np.zeros((2, one[1])))
        assert result.identity.shape == (2, other[0]) and not result.expression.any() and result.expression.shape == (2, other[1])
        assert np.isfinite(found.typical_error_mm(2))


def test_by_pairs(models: tuple[HeadModel, HeadModel], tmp_path: Path) -> None:
    """With the true pairs of vertices the shapes are the same, and no surface is searched."""
    ict = models[0]
    flame = HeadModel.from_flame(write_flame_npz(tmp_path / "flame.npz", FINE), IDENTITIES)
    vertex = np.arange(0, len(FINE.mean), 3)
    found = flame.map_to(ict, MapOptions(np.stack([vertex, vertex], 1), regularization_mm=0.001))
    identity = RNG.standard_normal((5, IDENTITIES))
    expression = np.zeros((5, len(flame.expression_names)))
    expression[:, 9:] = RNG.uniform(0, 1, (5, 10))
    result = found(identity, expression)
    assert result.error_mm.max() < 0.01 and np.abs(result.identity - identity).max() < 0.02
    assert np.abs(result.expression[:, :10] - expression[:, 9:]).max() < 0.02 and result.expression[:, 10:].max() < 0.02


def test_shipped_head_and_itself_without_eyeballs(head_model: HeadModel) -> None:
    """Our own model is laid on a part of itself: the face without what lies inside it."""
    keep = head_model.region_mask("face", "lids", "lips", "brows", "nostrils")
    number = np.cumsum(keep) - 1
    triangles = number[head_model.triangles[keep[head_model.triangles].all(1)]].astype(np.int32)
    fields = {name: getattr(head_model, name)[:, keep] for name in ("identity_basis", "expression_basis")}
    part = replace(
        head_model, mean=head_model.mean[keep] + [0.0, 0.03, -0.05], triangles=triangles, uv=head_model.uv[keep],
        mirror=np.zeros(int(keep.sum()), np.int32), region=head_model.region[keep], landmark_sets={}, **fields,
    )  # fmt: skip
    found = head_model.map_to(part)
    identity, expression = RNG.standard_normal((4, 64)), np.zeros((4, 51))
    expression[:, head_model.expression_names.index("jawOpen")] = [0, 0.3, 0.6, 1]
    result = found(identity, expression)
    assert result.error_mm.max() < 0.3
    assert np.abs(result.expression[:, head_model.expression_names.index("jawOpen")] - [0, 0.3, 0.6, 1]).max() < 0.1


def test_bad_pairs(models: tuple[HeadModel, HeadModel]) -> None:
    for pairs in (np.zeros((2, 2), int), np.zeros((9, 3), int), np.zeros((9, 2)), np.full((9, 2), 10**6)):
        with pytest.raises(ValueError, match="pairs"):
            models[0].map_to(models[1], MapOptions(pairs))


def test_heads_that_do_not_meet(models: tuple[HeadModel, HeadModel]) -> None:
    turned = replace(models[1], mean=models[1].mean * np.array([-1, 1, -1], np.float32))
    with pytest.raises(ValueError, match="pairs of vertices"):
        models[0].map_to(turned)
