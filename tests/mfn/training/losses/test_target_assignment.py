import pytest

torch = pytest.importorskip("torch")

from mfn.structures.cells import grid  # noqa: E402
from mfn.training.losses.target_assignment import (  # noqa: E402
    FACE_CELLS,
    IGNORE_RADIUS,
    IGNORE_SIZES,
    MAX_RADIUS_CELLS,
    assign_targets,
    cells_of_any,
)


def cells(height=256, width=256):
    return tuple(torch.from_numpy(x) for x in grid(height, width))


def slow(box, image, centers, strides):
    """The rule, one face and one cell at a time: (picture, cell) -> face."""
    owner = {}
    size = [float(((b[2] - b[0]) * (b[3] - b[1])) ** 0.5) for b in box]
    for f, b in enumerate(box):
        cx, cy = float(b[0] + b[2]) / 2, float(b[1] + b[3]) / 2
        for a in range(len(centers)):
            s = float(strides[a])
            span = size[f] / s
            low, high = FACE_CELLS[int(s)]
            if not low <= span < high:
                continue
            offset = max(abs(float(centers[a][0]) - cx), abs(float(centers[a][1]) - cy)) / s
            if offset <= min(max(0.35 * span, 0.5), MAX_RADIUS_CELLS) + 1e-4:
                key = (int(image[f]), a)
                if key not in owner or size[f] < size[owner[key]]:
                    owner[key] = f
    return owner


def slow_ignored(box, image, centers, strides):
    """The cells that are neither face nor background, one face and one cell at a time: {(picture, cell)}."""
    found = set()
    for f, b in enumerate(box):
        size = float(((b[2] - b[0]) * (b[3] - b[1])) ** 0.5)
        for a in range(len(centers)):
            s = float(strides[a])
            span, (low, high) = size / s, FACE_CELLS[int(s)]
            offset = max(abs(float(centers[a][0]) - float(b[0] + b[2]) / 2), abs(float(centers[a][1]) - float(b[1] + b[3]) / 2)) / s
            reach = min(min(max(0.35 * span, 0.5), MAX_RADIUS_CELLS) * IGNORE_RADIUS, 0.4 * max(span, 2))
            if offset <= reach and low * IGNORE_SIZES[0] < span < high * IGNORE_SIZES[1]:
                found.add((int(image[f]), a))
    return found - set(slow(box, image, centers, strides))


def crowd(count=25):
    """Faces of three pictures, some over others, two of the same size at the same place."""
    rng = torch.Generator().manual_seed(0)
    corner = torch.rand(count, 2, generator=rng) * 180
    box = torch.cat([corner, corner + 8 + torch.rand(count, 2, generator=rng) ** 3 * 170], 1)
    image = torch.randint(0, 3, (count,), generator=rng)
    box[-1], image[-1] = box[0], image[0]
    return box, image


def test_same_as_slow():
    box, image = crowd()
    centers, strides = cells()
    found = assign_targets(box, image, centers, strides, 3)
    ours = {(int(p), int(c)): int(f) for p, c, f in zip(found.picture, found.cell, found.face, strict=True)}
    expected = slow(box, image, centers, strides)
    of_twins = {cell for cell, face in expected.items() if face == 0}
    assert of_twins and ours == {cell: len(box) - 1 if cell in of_twins else face for cell, face in expected.items()}
    assert {tuple(pair) for pair in found.ignored.nonzero().tolist()} == slow_ignored(box, image, centers, strides)
    assert found.picture.tolist() == sorted(found.picture.tolist())


def test_cells_are_collected_by_picture():
    chosen, image = torch.rand(7, 9, generator=torch.Generator().manual_seed(1)) < 0.3, torch.tensor([2, 0, 2, 2, 0, 2, 2])
    found = cells_of_any(chosen, image, 3)
    assert all(torch.equal(found[picture], chosen[image == picture].any(0)) for picture in range(3))
    assert not cells_of_any(chosen[:0], image[:0], 3).any()


def test_every_face_has_a_cell_at_every_size():
    centers, strides = cells()
    for side in (7, 12, 24, 40, 57, 58, 90, 115, 120, 200, 240):
        for shift in range(0, 9, 3):
            box = torch.tensor([[100.0 - side / 2, 90.0 - side / 2, 100.0 + side / 2, 90.0 + side / 2]]) + shift
            found = assign_targets(box, torch.zeros(1, dtype=torch.long), centers, strides, 1)
            assert len(found.face) >= 1, side
            assert not found.ignored[found.picture, found.cell].any()


def test_no_size_falls_between_strides():
    ends = sorted((low * s, high * s) for s, (low, high) in FACE_CELLS.items())
    assert ends[0][0] == 0 and ends[-1][1] == float("inf")
    assert all(later[0] < earlier[1] for earlier, later in zip(ends, ends[1:]))


def test_no_faces():
    centers, strides = cells()
    found = assign_targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), centers, strides, 2)
    assert len(found.face) == 0 and found.ignored.shape == (2, len(centers)) and not found.ignored.any()


def test_order_of_faces_does_not_matter():
    centers, strides = cells()
    box = torch.tensor([[10.0, 10, 60, 70], [30, 30, 50, 52], [100, 90, 220, 230]])
    image = torch.zeros(3, dtype=torch.long)
    turned = torch.tensor([2, 0, 1])
    a, b = assign_targets(box, image, centers, strides, 1), assign_targets(box[turned], image, centers, strides, 1)
    assert {(int(c), int(f)) for c, f in zip(a.cell, a.face)} == {(int(c), int(turned[f])) for c, f in zip(b.cell, b.face)}
