"""The arithmetic behind the figures of the labels, and what is learned from real faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from experiments.labels import learn_calibration, learn_identity_prior, measure  # noqa: E402
from experiments.labels.bench import Bench, Detections, shape_indices  # noqa: E402
from experiments.labels.from_network import FIELDS, relabel  # noqa: E402
from experiments.labels.known_heads import MOVED, known_heads, mouth_figures, mouths  # noqa: E402
from mfn.fitting.landmarker import LandmarkResult  # noqa: E402
from retarget.arkit import EXPRESSION_NAMES  # noqa: E402
from tests.helpers.experiments import numbered_pictures, one_face  # noqa: E402


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(Path("none"))


def test_pairs_are_of_one_person_and_of_two():
    person = np.array([0, 0, 1, 1, 1, 2, -1, 3, 3])
    pairs = measure.pairs_of(person, np.random.default_rng(0))
    assert sorted(person[pairs.same[:, 0]].tolist()) == [0, 1, 3]
    assert (person[pairs.same[:, 0]] == person[pairs.same[:, 1]]).all() and (pairs.same[:, 0] != pairs.same[:, 1]).all()
    assert (person[pairs.different[:, 0]] != person[pairs.different[:, 1]]).all()


def test_identities_of_one_person_lie_nearer(bench):
    rng = np.random.default_rng(0)
    people = rng.normal(size=(10, bench.model.identity_size))
    identity = np.repeat(people, 2, 0) + rng.normal(0, 0.1, (20, people.shape[1]))
    same = np.arange(20).reshape(10, 2)
    figures = measure.distance_ratio(bench, identity, measure.paired_with_next(same))
    assert figures["pairs"] == 10 and figures["ratio"] < 0.2 and figures["auc"] == 1
    assert bench.identity_distance_mm(identity, identity).max() == 0


def test_the_detected_face_on_the_true_points_is_kept():
    points = np.zeros((2, 478, 3), np.float32)
    points[0, 1, :2], points[1, 0, :2], points[1, 1, :2] = 10, 50, 90
    points[1, 2:] = points[1, 0]
    found = LandmarkResult(points, np.zeros((2, 52), np.float32), np.zeros((2, 3, 3), np.float32))
    kept = Detections([], [], [])
    assert kept.add(7, found, np.array([[52.0, 52], [88, 88]])) and not kept.add(8, found, np.array([[200.0, 200], [210, 210]]))
    assert kept.rows == [7] and kept.points[0] is not None and float(kept.points[0].max()) == 90


def test_known_heads_are_fitted(bench):
    figures = known_heads(bench.basis, count=6)
    assert set(MOVED) <= set(figures["rms_error"]) and max(figures["rms_error"][name] for name in MOVED) < 0.6
    assert figures["rms_error"]["pitch_deg"] < 3


def test_shapes_that_are_never_at_rest_are_named():
    weights = np.zeros((3, len(EXPRESSION_NAMES)))
    weights[:, shape_indices("jawOpen")[0]], weights[1:, shape_indices("mouthLeft")[0]], weights[2, 0] = 0.05, 0.2, 0.9
    figures = measure.neutral_figures(weights)
    assert figures["largest_median"] == ["mouthLeft", 0.2] and figures["faces"] == 3
    assert list(figures["medians above 0.03"].items()) == [("mouthLeft", 0.2), ("jawOpen", 0.05)]


def test_puckers_and_funnels_of_the_labels(bench):
    labels = np.zeros((4, len(EXPRESSION_NAMES)))
    labels[:, shape_indices("mouthPucker")[0]] = (0.5, 0.5, 0.5, 0.1)
    labels[:, shape_indices("mouthLeft")[0]], labels[1:, shape_indices("mouthRight")[0]] = (0.2, 0.2, 0, 0.2), 0.2
    labels[:, shape_indices("mouthFunnel")[0]] = (0.1, 0.3, 0, 0)
    figures = mouth_figures(labels, np.array([0.5, 0.4, 0.2, 0]))
    assert [figures[key] for key in list(figures)[:4]] == [4, 3, 3, 1]
    assert figures["MediaPipe's mouthFunnel > 0.3"] == {"faces": 2, "mean_score": 0.45, "mean_label": 0.2}
    with pytest.raises(ValueError, match="give --labels"):
        mouths(bench)


def test_variance_is_split_between_and_within_people():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(400), 3)
    identity = (rng.normal(0, 2, (400, 2)) * [1, 0])[person] + rng.normal(0, 0.5, (1200, 2))
    between, within = learn_identity_prior.covariances(learn_identity_prior.Identities(identity, person))
    np.testing.assert_allclose(np.diag(within), 0.25, rtol=0.1)
    assert between[0, 0] == pytest.approx(4, rel=0.15) and 0 < between[1, 1] < 0.05


def test_rest_and_closed_eyes_are_told_by_the_weights():
    expression = torch.zeros(3, len(EXPRESSION_NAMES))
    expression[1, shape_indices("jawOpen")] = 0.7
    expression[2, shape_indices("eyeBlinkLeft", "eyeBlinkRight")] = 1
    assert learn_calibration.is_at_rest(expression).tolist() == [True, False, True]
    assert learn_calibration.is_shut(expression).tolist() == [False, False, True]


def test_a_residual_in_the_picture_is_meters_on_the_head():
    rotation = torch.diag(torch.tensor([1.0, -1.0, -1.0]))[None]
    on_head = learn_calibration.residual_on_head(
        torch.tensor([[[10.0, 20, 5]]]), torch.tensor([[[8.0, 16]]]), rotation, torch.tensor([1000.0])
    )
    np.testing.assert_allclose(on_head[0, 0], [0.002, -0.004, 0], atol=1e-7)


def test_correlation_is_the_same_for_a_mirrored_face():
    rng = np.random.default_rng(0)
    expression = torch.zeros(200, len(EXPRESSION_NAMES))
    left, right = shape_indices("mouthSmileLeft", "mouthSmileRight")
    expression[:, left] = torch.from_numpy(rng.uniform(0, 1, 200).astype(np.float32))
    expression[:, right] = 0.8 * expression[:, left]
    correlation = learn_calibration.learn_correlation(expression)
    assert correlation[left, right] > 0.7 and torch.allclose(correlation, correlation.T)
    assert correlation[left].count_nonzero() == 2 and torch.equal(correlation.diagonal(), torch.ones(51))


def test_a_network_relabels_the_faces_of_each_picture():
    labels = {name: np.repeat(getattr(one_face((0, 0, 9, 9)), name), 3, 0) for name in FIELDS}
    labels |= {"face": np.array([2, 0, 1]), "ok": np.ones(3, bool)}

    def network(picture, boxes):
        face = one_face((0, 0, 9, 9))
        return face[[0] * len(boxes)].replace(scale=np.full(len(boxes), float(picture[0, 0, 0])))

    relabel(numbered_pictures(6), np.array([5, 5, 3]), labels, network)
    assert labels["scale"].tolist() == [3, 5, 5] and labels["ok"].all()
