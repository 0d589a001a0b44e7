"""Synthetic heads have exact labels, repeat with the same seed and can be written as a pack."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from mfn.structures.faces import Faces
from mfn.structures.head_model import HeadModel, face_box
from mfn.synthesis.expressions import changes_of
from mfn.synthesis.heads import HeadGenerator, random_rotation
from mfn.training.packs.reader import read_pack
from mfn.training.packs.writer import write_pack
from retarget.arkit import EXPRESSION_NAMES
from retarget.io.images import encode_jpeg


@pytest.fixture(scope="module")
def generator() -> HeadGenerator:
    return HeadGenerator(HeadModel.load(), images_per_person=2)


def test_labels_are_where_the_head_is(generator: HeadGenerator) -> None:
    rng = np.random.default_rng(0)
    for _ in range(4):
        image, face = generator.generate(rng, 128, 1.0)
        assert image.shape == (128, 128, 3) and image.dtype == np.uint8 and len(face) == 1
        points = generator.model.landmarks(face, "mediapipe478")
        np.testing.assert_allclose(face.box, face_box(points), atol=1e-2)
        assert 40 < face.box[0, 3] - face.box[0, 1] < 128
    assert face.track[0] == 1, "two images of each person"


def test_the_same_seed_makes_the_same_image(generator: HeadGenerator) -> None:
    made = []
    for _ in range(2):
        generator.new_person()
        made.append(generator.generate(np.random.default_rng(7), 96, 1.0))
    np.testing.assert_array_equal(made[0][0], made[1][0])
    np.testing.assert_array_equal(made[0][1].expression, made[1][1].expression)


def test_a_person_is_the_same_in_all_images(generator: HeadGenerator) -> None:
    rng = np.random.default_rng(8)
    generator.new_person()
    (_, first), (_, second), (_, other) = (generator.generate(rng, 48, 1.0) for _ in range(3))
    np.testing.assert_array_equal(first.identity, second.identity)
    assert (other.identity != first.identity).any() and other.track[0] == first.track[0] + 1


def test_supersampling_changes_neither_size_nor_label(generator: HeadGenerator) -> None:
    made = []
    for supersampling in (1.0, 1.5):
        generator.new_person()
        made.append(generator.generate(np.random.default_rng(9), 64, supersampling))
    assert made[0][0].shape == made[1][0].shape == (64, 64, 3)
    np.testing.assert_array_equal(made[0][1].box, made[1][1].box)


def test_with_changes_every_head_shows_one_of_the_shapes() -> None:
    heads = HeadGenerator(HeadModel.load(), changes=changes_of(["jawLeft", "jawRight"]))
    person, rng = heads.person(np.random.default_rng(1)), np.random.default_rng(2)
    assert not person.appearance.mask
    weights = np.concatenate([heads.place(person, 64, rng).expression for _ in range(20)])
    sideways = np.abs(weights[:, EXPRESSION_NAMES.index("jawLeft")] - weights[:, EXPRESSION_NAMES.index("jawRight")])
    assert (sideways > 0.3).all() and sideways.max() > 0.5


def test_backgrounds_are_parts_of_the_photos(generator: HeadGenerator) -> None:
    photo = np.full((50, 80, 3), (10, 200, 30), np.uint8)
    part = HeadGenerator.background(generator, 20, np.random.default_rng(0))
    assert part.shape == (20, 20, 3), "a wall where there are no photos"
    generator.backgrounds = [photo]
    try:
        assert (generator.background(20, np.random.default_rng(0)) == (10, 200, 30)).all()
    finally:
        generator.backgrounds = []


def test_random_rotations_are_rotations() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        rotation = random_rotation(rng)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-4)


def test_a_pack_is_read_back(generator: HeadGenerator, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    made = [generator.generate(rng, 64, 1.0) for _ in range(3)]
    faces = Faces.concatenate([face for _, face in made])
    write_pack(tmp_path, "heads", [encode_jpeg(image) for image, _ in made], faces)
    pack = read_pack(tmp_path, tmp_path / "labels", "heads")
    assert len(pack.pictures) == 3 and pack.has_labels.all() and not len(pack.ignore_box)
    np.testing.assert_array_equal(pack.faces.image, [0, 1, 2])
    np.testing.assert_allclose(pack.faces.expression, faces.expression)
    assert np.abs(pack.pictures[0].astype(int) - made[0][0]).mean() < 6
    with pytest.raises(ValueError, match="one face for each of 2"):
        write_pack(tmp_path, "heads", [b"", b""], faces)
