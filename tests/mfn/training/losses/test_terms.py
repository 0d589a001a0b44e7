import math

import pytest

torch = pytest.importorskip("torch")

from torchvision.ops import generalized_box_iou_loss  # noqa: E402

from mfn.training.losses import terms as losses  # noqa: E402


def boxes(count, seed, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=rng, dtype=dtype) * 20
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=rng, dtype=dtype) * 20], 1)


def slow_iou(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return w * h / union, 1 - w * h / union + (hull - union) / hull


def test_iou_and_giou_against_slow():
    a, b = boxes(40, 0), boxes(40, 1)
    slow = [slow_iou(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    torch.testing.assert_close(losses.paired_box_iou(a, b).tolist(), [s[0] for s in slow])
    torch.testing.assert_close(losses.generalized_iou_loss(a, b).tolist(), [s[1] for s in slow], rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(losses.generalized_iou_loss(a, b), generalized_box_iou_loss(a, b))


def test_giou_of_the_same_box_is_zero():
    torch.testing.assert_close(losses.generalized_iou_loss(boxes(5, 0), boxes(5, 0)), torch.zeros(5, dtype=torch.float64))


def test_quality_focal_against_slow():
    logit, quality = torch.tensor([-2.0, 0.3, 4.0]), torch.tensor([0.0, 0.7, 0.2])
    weight = torch.tensor([1.0, 1.0, 0.5])
    slow = 0.0
    for x, q, w in zip(logit.tolist(), quality.tolist(), weight.tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        slow += w * abs(q - p) ** 2 * -(q * math.log(p) + (1 - q) * math.log(1 - p))
    assert losses.quality_focal_loss(logit, quality, weight).item() == pytest.approx(slow, rel=1e-5)


def test_landmarks_against_slow():
    rng = torch.Generator().manual_seed(0)
    a, b = torch.rand(3, 4, 2, generator=rng, dtype=torch.float64), torch.rand(3, 4, 2, generator=rng, dtype=torch.float64)
    size, weight = torch.tensor([1.0, 2, 3], dtype=torch.float64), torch.tensor([1.0, 0, 2, 1], dtype=torch.float64)
    for i, told in enumerate(losses.landmark_loss(a, b, size, weight).tolist()):
        each = [math.dist(a[i, k].tolist(), b[i, k].tolist()) / size[i].item() * weight[k].item() for k in range(4)]
        assert told == pytest.approx(sum(each) / 4, rel=1e-4)


def test_exact_predictions_cost_nothing():
    eye = torch.eye(3).repeat(2, 1, 1)
    assert losses.rotation_loss(eye[:, :2].flatten(1), eye).tolist() == [0, 0]
    assert losses.expression_loss(torch.full((2, 51), 0.3), torch.full((2, 51), 0.3)).tolist() == [0, 0]


def test_the_divergence_of_expressions_still_moves_a_shape_that_is_never_predicted():
    logit = torch.tensor([[-7.0, 0.4, 2.0]], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([[0.8, 0.6, 0.0]], dtype=torch.float64)
    told = losses.expression_divergence(logit.sigmoid(), target)
    p = logit.sigmoid().detach()[0].tolist()
    slow = [t * math.log(t / q) + (1 - t) * math.log((1 - t) / (1 - q)) for t, q in ((0.8, p[0]), (0.6, p[1]))] + [-math.log(1 - p[2])]
    assert told.tolist() == [pytest.approx(sum(slow) / 3)]
    told.sum().backward()
    torch.testing.assert_close(logit.grad, (logit.detach().sigmoid() - target) / 3)
    assert losses.expression_divergence(target, target).item() == pytest.approx(0, abs=1e-5)


def test_gaps_against_slow():
    rng = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, 5, 3, generator=rng, dtype=torch.float64), torch.rand(2, 5, 3, generator=rng, dtype=torch.float64)
    pairs = torch.tensor([[0, 3], [4, 1]])
    for i, told in enumerate(losses.gap_loss(a, b, pairs).tolist()):
        slow = sum(abs((a[i, p, k] - a[i, q, k]) - (b[i, p, k] - b[i, q, k])).item() for p, q in pairs.tolist() for k in range(3))
        assert told == pytest.approx(100 * slow / 2)
    torch.testing.assert_close(losses.gap_loss(a, a + 1.0, pairs), torch.zeros(2, dtype=torch.float64))


def test_rotation_loss_holds_the_rows_length():
    """Rows of the right direction but twice the length decode to the same rotation, and must cost all the same."""
    eye = torch.eye(3)[None]
    assert losses.rotation_loss(2 * eye[:, :2].flatten(1), eye).item() == 1.0


@pytest.mark.parametrize("count", [0, 3])
def test_gradients(count):
    a, b = boxes(count, 0).requires_grad_(), boxes(count, 5)
    assert torch.autograd.gradcheck(lambda x: losses.generalized_iou_loss(x, b).sum(), a)
    p = torch.rand(count, 6, 2, dtype=torch.float64).requires_grad_()
    q, size = torch.rand(count, 6, 2, dtype=torch.float64), torch.ones(count, dtype=torch.float64)
    one = torch.ones(6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: losses.landmark_loss(x, q, size, one).sum(), p)
