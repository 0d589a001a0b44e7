"""Exported single-face networks give the same output as torch and work in `SingleFace`."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
from mfn.inference.single_face import SingleFace  # noqa: E402
from mfn.structures.crop_geometry import CROP_SIZE, crop_windows  # noqa: E402
from tests.helpers.training import tiny_crop_networks  # noqa: E402


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnx")
    from mfn.models.export.to_onnx import write_onnx

    folder, files = tmp_path_factory.mktemp("single"), {}
    for name in ("sfn", "position map", "dense"):
        network = tiny_crop_networks()[name].eval()
        for p in network.parameters():
            p.data = p.data.half().float()  # the file stores half precision
        files[name] = folder / f"{name}.onnx", network
        write_onnx(network, files[name][0])
    return files


@pytest.mark.parametrize("name", ["sfn", "position map", "dense"])
def test_onnx_output_equals_torch(exported, name):
    path, network = exported[name]
    crops = np.random.default_rng(0).integers(0, 255, (3, CROP_SIZE, CROP_SIZE, 3)).astype(np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(crops).permute(0, 3, 1, 2).float()).numpy()
    np.testing.assert_allclose(SingleFace.load(path).session.run(None, {"image": crops})[0], expected, rtol=1e-2, atol=1e-2)


def test_results_are_in_px_of_the_picture(exported):
    """An untrained network predicts a frontal face at the center of each crop, so the boxes define the results."""
    single = SingleFace.load(exported["sfn"][0])
    picture = np.random.default_rng(0).integers(0, 255, (300, 400, 3)).astype(np.uint8)
    boxes = np.array([[20, 30, 80, 110], [150, 100, 310, 280.0], [390, 290, 420, 330]])
    faces = single(picture, boxes)
    np.testing.assert_allclose(faces.center, (boxes[:, :2] + boxes[:, 2:]) / 2, atol=30)
    np.testing.assert_allclose(faces.scale / crop_windows(boxes)[:, 2], faces.scale[0] / crop_windows(boxes)[0, 2], rtol=0.3)
    assert len(single(picture, np.zeros((0, 4)))) == 0
    assert single.landmarks(picture, boxes, "mediapipe478").shape == (3, 478, 3)
    one = single(picture, boxes[[1]])
    np.testing.assert_allclose(one.expression[0], faces.expression[1], atol=1e-4)


def test_refined_faces_are_marked(exported):
    single, picture = SingleFace.load(exported["sfn"][0]), np.zeros((300, 400, 3), np.uint8)
    faces = single(picture, np.array([[150, 100, 310, 280.0]]))
    assert not faces.refined.any() and single.refine(picture, faces).refined.all()


@pytest.mark.parametrize("name", ["position map", "dense"])
def test_landmark_networks_return_landmarks(exported, name):
    single = SingleFace.load(exported[name][0])
    picture = np.zeros((300, 400, 3), np.uint8)
    points = single.landmarks(picture, np.array([[150, 100, 310, 280.0]]))
    assert points.shape == (1, 68, 3) and np.isfinite(points).all()
    np.testing.assert_allclose(points[0, :, :2].mean(0), [230, 190], atol=90)
    assert single.landmarks(picture, np.zeros((0, 4))).shape == (0, 68, 3)
    with pytest.raises(ValueError, match="use `landmarks`"):
        single(picture, np.array([[150, 100, 310, 280.0]]))


def test_wrong_boxes_and_wrong_networks_raise(exported):
    single = SingleFace.load(exported["sfn"][0])
    picture = np.zeros((30, 40, 3), np.uint8)
    for boxes in (np.zeros(4), np.array([[5, 5, 5, 9.0]]), np.array([[0, 0, np.nan, 9]])):
        with pytest.raises(ValueError, match="boxes: expected"):
            single(picture, boxes)
    from mfn.inference.model_zoo import DEFAULT_WEIGHTS

    with pytest.raises(ValueError, match="expected a single-face network"):
        SingleFace.load(DEFAULT_WEIGHTS)
