"""Photometric refinement moves a displaced head back to its photo, with and without PyTorch3D."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mfn.fitting.annotate import AnnotateOptions, _check_options
from mfn.fitting.fit_basis import FitBasis, basis_from_head_model
from mfn.fitting.fitter import FitResult, fitted_points
from mfn.fitting.gauss_newton import rotation_from_vector
from mfn.fitting.photometric import (
    PhotometricOptions,
    harmonics,
    rasterize_numpy,
    refine,
    shade_by_region,
)
from mfn.fitting.photometric import (
    vertex_normals as torch_normals,
)
from mfn.structures.head_model import HeadModel
from retarget.geometry.mesh import vertex_normals
from retarget.render.rasterizer import rasterize

SIDE = 24
TETRAHEDRON = torch.tensor([[4.3, 3.2, 5.0], [20.1, 6.4, 2.0], [9.7, 19.8, 3.0], [12.0, 9.0, -4.0]])
TRIANGLES = torch.tensor([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])


@pytest.fixture(scope="module")
def model() -> HeadModel:
    torch.set_num_threads(1)
    return HeadModel.load()


@pytest.fixture(scope="module")
def basis(model: HeadModel) -> FitBasis:
    return basis_from_head_model(model)


def test_rasterizer_agrees_with_ours_and_follows_the_points() -> None:
    points = TETRAHEDRON[None].clone().requires_grad_()
    triangle, barycentric = rasterize_numpy(points, TRIANGLES, SIDE)
    index, weight = rasterize(TETRAHEDRON.numpy(), TRIANGLES.numpy(), SIDE, SIDE)
    assert (triangle[0].numpy() == index).all() and (index >= 0).sum() > 80
    assert np.abs(barycentric[0].detach().numpy() - weight)[index >= 0].max() < 1e-4
    inside = triangle[0] >= 0
    where = (TETRAHEDRON[TRIANGLES[triangle[0].clamp_min(0)]] * barycentric[0][..., None]).sum(2)[inside][:, 0].sum()
    where.backward()  # fixed values move against their vertices, as a texture drawn on them would
    assert points.grad is not None and points.grad[0, :, 0].sum() == pytest.approx(-float(inside.sum()), rel=1e-3)
    assert rasterize_numpy(points[:0], TRIANGLES, SIDE)[0].shape == (0, SIDE, SIDE)


def test_normals_are_those_of_the_rasterizer(model: HeadModel) -> None:
    mine = torch_normals(torch.from_numpy(model.mean)[None], torch.from_numpy(model.triangles.astype(np.int64)))
    assert np.abs(mine[0].numpy() - vertex_normals(model.mean, model.triangles)).max() < 1e-3


def test_colors_and_light_are_recovered() -> None:
    random = torch.Generator().manual_seed(0)
    light = harmonics(torch.nn.functional.normalize(torch.randn(1, 300, 3, generator=random), dim=2))
    region = torch.nn.functional.one_hot(torch.arange(300) % 3, 3)[None].float()
    lamp = torch.tensor([1.0, 0.2, -0.3, 0.4, 0.05, 0.0, 0.1, 0.0, 0.05])[:, None].expand(9, 3)
    color = (region @ torch.rand(3, 3, generator=random)) * (light @ lamp)
    assert (shade_by_region(color, region, light, torch.ones(1, 300), rounds=10) - color).abs().mean() < 0.01


def test_a_moved_head_returns(model: HeadModel, basis: FitBasis) -> None:
    """Render a head with colored lips and brows, displace its pose, and refine: it comes nearer to the rendered pose."""
    true = FitResult(
        torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None],
        torch.tensor([500.0]),
        torch.tensor([[64.0, 56.0]]),
        torch.zeros(1, 64),
        torch.zeros(1, 51),
        torch.zeros(1),
    )
    picture = np.full((128, 128, 3), 90, np.uint8)
    turned = model.mean @ true.rotation[0].numpy().T
    index, weight = rasterize(turned * 500 + np.array([64, 56, 0], np.float32), model.triangles, 128, 128)
    table = np.random.default_rng(0).uniform(0.2, 0.9, (len(model.region_names), 3))
    colors = table[model.region] * (0.7 - 0.3 * normals_of(turned, model)[:, 2:])
    drawn = (colors[model.triangles[np.maximum(index, 0)]] * weight[..., None]).sum(2)
    picture[index >= 0] = (drawn.clip(0, 1) * 255).astype(np.uint8)[index >= 0]
    start = replace(true, rotation=rotation_from_vector(torch.tensor([[0.0, 0.03, 0.02]])) @ true.rotation, center=true.center + 1.2)
    found = refine(start, [picture], model, basis, rasterize_numpy, PhotometricOptions(steps=15, side=64, landmarks=0.002))
    off = [(fitted_points(basis, fit) - fitted_points(basis, true)).norm(dim=2).mean() for fit in (start, found)]
    assert off[1] < 0.7 * off[0] and (found.expression >= 0).all()


def normals_of(turned: np.ndarray, model: HeadModel) -> np.ndarray:
    return vertex_normals(turned, model.triangles)


def test_no_faces(model: HeadModel, basis: FitBasis) -> None:
    none = FitResult(torch.zeros(0, 3, 3), torch.zeros(0), torch.zeros(0, 2), torch.zeros(0, 64), torch.zeros(0, 51), torch.zeros(0))
    assert refine(none, [], model, basis) is none
    with pytest.raises(ValueError, match="one for each"):
        refine(none, [np.zeros((8, 8, 3), np.uint8)], model, basis)


def test_without_pytorch3d_one_line_says_what_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    _check_options(tmp_path / "faces.npz", AnnotateOptions(photometric=True))
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "without priors on the mesh" in said and 'pip install ".[render]"' in said


def test_without_pytorch3d_colors_are_fitted(model: HeadModel, basis: FitBasis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    one = FitResult(
        torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None], torch.tensor([300.0]), torch.tensor([[32.0, 28.0]]),
        torch.zeros(1, 64), torch.zeros(1, 51), torch.zeros(1),
    )  # fmt: skip
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    found = refine(one, [picture], model, basis, options=PhotometricOptions(steps=2, side=32))
    assert not torch.equal(found.identity, one.identity) and torch.isfinite(found.identity).all()
