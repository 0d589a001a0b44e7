"""Photometric refinement moves a displaced head back to its photo; PyTorch3D and our rasterizer agree where it is installed."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mfn.fitting.annotate import AnnotateOptions, annotate
from mfn.fitting.fit_basis import FitBasis, basis_from_head_model
from mfn.fitting.fitter import FitResult, fitted_points
from mfn.fitting.gauss_newton import rotation_from_vector
from mfn.fitting.photometric import (
    PhotometricOptions,
    harmonics,
    rasterize_numpy,
    rasterize_pytorch3d,
    refine,
    shade_by_region,
)
from mfn.fitting.photometric import (
    vertex_normals as torch_normals,
)
from mfn.structures.head_model import HeadModel
from retarget.geometry.mesh import vertex_normals
from retarget.render.rasterizer import rasterize

PYTORCH3D = importlib.util.find_spec("pytorch3d") is not None
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


@pytest.mark.skipif(not PYTORCH3D, reason="needs PyTorch3D, which has no wheels on PyPI (see mfn.fitting.photometric.INSTALL_HINT)")
def test_pytorch3d_agrees_with_ours() -> None:
    found = []
    for rasterizer in (rasterize_numpy, rasterize_pytorch3d):
        points = torch.stack([TETRAHEDRON, TETRAHEDRON + 1.5]).requires_grad_()
        triangle, barycentric = rasterizer(points, TRIANGLES, SIDE)
        inside = triangle >= 0
        (barycentric * torch.tensor([1.0, 2.0, 4.0]))[inside].sum().backward()
        found.append((triangle, barycentric[inside].detach(), points.grad[..., :2]))  # type: ignore[index]
    assert torch.equal(found[0][0], found[1][0])
    assert torch.allclose(found[0][1], found[1][1], atol=1e-3) and torch.allclose(found[0][2], found[1][2], atol=1e-2)


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


@pytest.mark.skipif(PYTORCH3D, reason="PyTorch3D is installed: nothing is missing")
def test_without_pytorch3d_the_error_has_an_install_hint(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"pip install .*pytorch3d") as caught:
        annotate(None, ["photo.jpg"], tmp_path / "faces.npz", AnnotateOptions(photometric=True))
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
