"""Our rotations, cameras, rasterizer and mesh figures against PyTorch3D's, wherever it is installed: `.ci/render` runs these tests."""

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.render
transforms = pytest.importorskip("pytorch3d.transforms", reason='needs PyTorch3D: pip install ".[render]"')
pytest.importorskip("pytorch3d._C", reason="needs PyTorch3D with its compiled part")

from pytorch3d.renderer import FoVOrthographicCameras, PerspectiveCameras  # noqa: E402

from experiments.head_model.measure.surface_figures import surface_figures  # noqa: E402
from mfn.fitting.fitter import FitResult  # noqa: E402
from mfn.fitting.gauss_newton import rotation_from_vector  # noqa: E402
from mfn.fitting.photometric import PhotometricOptions, rasterize_numpy, rasterize_pytorch3d, refine  # noqa: E402
from mfn.fitting.photometric.mesh_prior import uneven_movement  # noqa: E402
from mfn.structures.camera import FRONTAL, project, rotation_from_euler  # noqa: E402
from mfn.structures.cells import rotation_from_rows  # noqa: E402
from mfn.structures.head_model import HeadModel  # noqa: E402
from retarget.geometry.rotations import (  # noqa: E402
    matrix_to_quaternion,
    quaternion_to_matrix,
    rotation_about,
    rotation_vector_to_matrix,
)
from retarget.geometry.weak_perspective import place_heads  # noqa: E402
from tests.helpers.faces import random_faces  # noqa: E402
from tests.helpers.meshes import sphere  # noqa: E402

RNG = np.random.default_rng(5)
TO_PYTORCH3D = torch.diag(torch.tensor([-1.0, -1.0, 1.0]))  # its x points left and its y up
TETRAHEDRON = torch.tensor([[4.3, 3.2, 5.0], [20.1, 6.4, 2.0], [9.7, 19.8, 3.0], [12.0, 9.0, -4.0]])
TRIANGLES = torch.tensor([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])


def test_rotation_vectors() -> None:
    vector = RNG.normal(size=(20, 3))
    theirs = transforms.axis_angle_to_matrix(torch.from_numpy(vector))
    assert np.allclose(rotation_vector_to_matrix(vector), theirs, atol=1e-6)
    assert torch.allclose(rotation_from_vector(torch.from_numpy(vector)), theirs, atol=1e-6)


def test_quaternions() -> None:
    """Theirs have the real part first."""
    rotation = transforms.random_rotations(30)
    ours = matrix_to_quaternion(rotation.numpy())
    theirs = transforms.standardize_quaternion(transforms.matrix_to_quaternion(rotation)).numpy()
    assert np.allclose(ours, theirs[:, [1, 2, 3, 0]], atol=1e-5)
    assert np.allclose(quaternion_to_matrix(ours), rotation, atol=1e-5)


def test_six_numbers() -> None:
    rows = RNG.normal(size=(20, 6))
    assert np.allclose(rotation_from_rows(rows), transforms.rotation_6d_to_matrix(torch.from_numpy(rows)), atol=1e-6)


def test_euler_angles() -> None:
    angles = RNG.uniform(-1.2, 1.2, (20, 3))
    theirs = transforms.euler_angles_to_matrix(-torch.from_numpy(angles), "XYZ").numpy()
    assert np.allclose(rotation_from_euler(angles), FRONTAL @ theirs, atol=1e-6)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_turns_about_an_axis(axis: str) -> None:
    """Their points are rows, so that their matrix stands on the other side."""
    theirs = transforms.RotateAxisAngle(40.0, axis.upper()).get_matrix()[0, :3, :3]
    assert np.allclose(rotation_about(axis, np.deg2rad(40.0)), theirs.T, atol=1e-6)


def test_weak_perspective_is_an_orthographic_camera() -> None:
    faces, points = random_faces(3), torch.from_numpy(RNG.normal(0, 0.1, (3, 50, 3)).astype(np.float32))
    ours = project(points.numpy(), faces.rotation, faces.scale, faces.center)[..., :2]
    size = torch.tensor([640.0, 640.0])
    scale = torch.from_numpy(faces.scale) / 320
    offset = (torch.from_numpy(faces.center) - 320) / torch.from_numpy(faces.scale)[:, None]
    rotation = (TO_PYTORCH3D @ torch.from_numpy(faces.rotation).float()).transpose(1, 2)
    shift = torch.cat([-offset, torch.full((3, 1), 5.0)], 1)
    cameras = FoVOrthographicCameras(R=rotation, T=shift, scale_xyz=torch.stack([scale, scale, torch.ones(3)], 1))
    theirs = cameras.transform_points_screen(points, image_size=size[None].expand(3, -1))[..., :2]
    assert np.allclose(ours, theirs, atol=0.05)


def test_heads_stand_before_a_pinhole_camera() -> None:
    """A head's origin appears where the faces have their center."""
    faces = random_faces(4)
    heads = place_heads(faces.rotation, faces.scale, faces.center, (640.0, 480.0), 900.0)
    place = torch.from_numpy(heads.translation * np.diagonal(FRONTAL)).float()
    size = torch.tensor([[480.0, 640.0]])
    camera = PerspectiveCameras(
        focal_length=900.0, principal_point=((320.0, 240.0),), R=TO_PYTORCH3D[None], T=torch.zeros(1, 3), in_ndc=False, image_size=size
    )
    assert np.allclose(camera.transform_points_screen(place)[:, :2], faces.center, atol=0.05)


def test_rasterizers_agree() -> None:
    found = []
    for rasterizer in (rasterize_numpy, rasterize_pytorch3d):
        points = torch.stack([TETRAHEDRON, TETRAHEDRON + 1.4]).requires_grad_()
        triangle, barycentric = rasterizer(points, TRIANGLES, 24)
        inside = triangle >= 0
        (barycentric * torch.tensor([1.0, 2.0, 4.0]))[inside].sum().backward()
        found.append((triangle, barycentric[inside].detach(), points.grad[..., :2]))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.allclose(found[0][1], found[1][1], atol=1e-3) and torch.allclose(found[0][2], found[1][2], atol=1e-2)


def test_the_mesh_prior_prefers_even_movement() -> None:
    points, triangles = (torch.from_numpy(part) for part in sphere())
    still = torch.zeros(2, len(points), 3, requires_grad=True)
    loss = uneven_movement(still, triangles)
    loss.backward()
    assert loss == 0 and torch.isfinite(still.grad).all()
    one = torch.zeros(1, len(points), 3)
    one[0, 40] = 0.001
    assert uneven_movement(torch.full((1, len(points), 3), 0.001), triangles) < 1e-5 < uneven_movement(one, triangles)


def test_the_prior_makes_the_refinement_smaller(head_model: HeadModel) -> None:
    from mfn.fitting.fit_basis import basis_from_head_model

    one = FitResult(
        torch.from_numpy(FRONTAL)[None], torch.tensor([300.0]), torch.tensor([[32.0, 28.0]]),
        torch.zeros(1, 64), torch.zeros(1, 51), torch.zeros(1),
    )  # fmt: skip
    picture, basis = RNG.integers(0, 255, (64, 64, 3)).astype(np.uint8), basis_from_head_model(head_model)
    moved = []
    for weight in (0.0, 10.0):
        options = PhotometricOptions(steps=5, side=32, evenness=weight)
        moved.append(float(refine(one, [picture], head_model, basis, options=options).identity.abs().mean()))
    assert 0 < moved[1] < moved[0]


def test_figures_of_two_surfaces() -> None:
    points, triangles = sphere(24, 32)
    same = surface_figures([(points, points)], triangles, triangles, seed=0)
    larger = surface_figures([(points, points * 1.01)], triangles, triangles, seed=0)
    assert same["chamfer_mm"] < 0.1 and larger["chamfer_mm"] == pytest.approx(10.0, rel=0.05)
    assert same["normal_consistency"] == pytest.approx(1, abs=0.02)
