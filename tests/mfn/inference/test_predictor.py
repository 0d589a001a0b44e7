import inspect
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mfn.inference.face_finder import Found
from mfn.inference.input.picture_sources import FailedPicture, PictureWarning
from mfn.inference.model_zoo import (
    DEFAULT_MODEL,
    EYE_READER_WEIGHTS,
    LIVE_MODEL,
    READER_WEIGHTS,
    SINGLE_FACE_WEIGHTS,
    default_eye_reader,
)
from mfn.inference.predictor import Predictor
from mfn.inference.readers.face_reader import Reader
from mfn.inference.readers.frame_memory import FrameMemory
from mfn.inference.readers.portrait_reader import PortraitReader
from mfn.structures.cells import CELL_SIZE, IDENTITY_SIZE, SLICES, grid
from mfn.structures.faces import Faces
from mfn.structures.network_metadata import DEFAULT_FACE_RANGE, FaceRange, NetworkMetadata, Size
from retarget.io.images import write_image
from tests.helpers.faces import random_faces


def spotted(height: int, width: int, *cells: tuple[int, int], size: int = 16) -> np.ndarray:
    """Black RGB with white squares of `size` px at these (row, column), counted in squares."""
    picture = np.zeros((height, width, 3), np.uint8)
    for row, column in cells:
        picture[row * size : (row + 1) * size, column * size : (column + 1) * size] = 255
    return picture


@pytest.fixture(scope="module")
def predictor(spots) -> Predictor:
    return Predictor.load(spots, reader=False, min_face_px=48, threads=1)


def same(a: Faces, b: Faces) -> bool:
    return all(np.allclose(getattr(a, n), getattr(b, n), atol=1e-4) for n in Faces.__dataclass_fields__)
















def test_finds_the_spots_where_they_are(predictor):
    exact = predictor(spotted(768, 1280, (10, 20), (30, 60)))  # each is one cell of stride 8 after halving
    order = np.argsort(exact.box[:, 0])
    np.testing.assert_allclose(exact.center[order], [[328, 168], [968, 488]], atol=0.1)
    np.testing.assert_allclose(exact.box[order][0], [296, 136, 360, 200], atol=0.1)  # 4 cells of 16 px of the picture
    np.testing.assert_allclose(exact.scale, 25 * 8 * 2, rtol=1e-5)
    np.testing.assert_allclose(exact.rotation, np.tile(np.diag([1, -1, -1]), (2, 1, 1)), atol=1e-6)
    assert exact.identity.shape == (2, IDENTITY_SIZE) and (exact.score > 0.9).all() and (exact.image == 0).all()


def test_no_face_at_all(predictor):
    faces = predictor(np.zeros((300, 400, 3), np.uint8))
    assert len(faces) == 0 and faces.identity.shape == (0, IDENTITY_SIZE)
    assert len(predictor([])) == 0


def test_many_is_one(predictor):
    """A list of pictures of several sizes equals one call for each."""
    random = np.random.default_rng(0)
    sizes = [(768, 1280), (640, 640), (768, 1280), (100, 60), (768, 1280), (1, 1)] * 4
    pictures = [spotted(h, w, *random.integers(0, 40, (5, 2))) for h, w in sizes]
    together = predictor(pictures)
    for i, picture in enumerate(pictures):
        alone = predictor(picture)
        assert same(together[together.image == i], alone.replace(image=np.full(len(alone), i)))
    assert (np.diff(together.image) >= 0).all()


def test_paths_and_arrays(predictor, tmp_path):
    picture = spotted(768, 1280, (10, 20))
    write_image(tmp_path / "a.png", picture)
    assert len(predictor(picture)) == 1
    assert same(predictor(tmp_path / "a.png"), predictor(picture))
    assert same(predictor([str(tmp_path / "a.png")]), predictor([picture]))


def test_score_is_the_least_reported(spots):
    picture = spotted(768, 1280, (10, 20))
    assert len(Predictor.load(spots, min_face_px=48, score=0.999)(picture)) == 0
    with pytest.raises(ValueError, match="score from 0 to 1, got 7"):
        Predictor.load(spots, score=7)


@pytest.mark.parametrize("name", ["large", "free"])
def test_smaller_faces_are_looked_for_in_small_pictures(name):
    predictor = Predictor.load(name, threads=1)
    assert predictor.passes(400, 600)[0].factor == 2 and predictor.passes(900, 900)[0].factor == 1.5


def test_the_reader_sets_how_sure_a_face_must_be_so_that_no_other_views_are_tried(spots, monkeypatch):
    predictor, asked = Predictor.load(spots, reader=READER_WEIGHTS, threads=1), []
    monkeypatch.setattr(predictor, "_detect_in_views", lambda *given: asked.append(given) or given[-1])
    for score in (0.92, 0.94):
        monkeypatch.setattr(predictor, "_detect", lambda *_, score=score: random_faces(1).replace(score=np.array([score])))
        predictor(np.zeros((96, 160, 3), np.uint8))
    assert len(asked) == 1, "0.93 with the reader that ships"
    predictor.reader = None
    predictor(np.zeros((96, 160, 3), np.uint8))
    assert len(asked) == 1, "0.7 without a reader"


def test_the_scale_follows_from_the_smallest_face(spots):
    def factor(**options) -> float:
        return Predictor.load(spots, **options).passes(1440, 2560)[0].factor

    assert factor(min_face_px=24) == pytest.approx(1) and factor(min_face_px=96) == pytest.approx(0.25)
    assert factor() == pytest.approx(24 / 16)
    predictor = Predictor.load(spots)
    assert predictor.passes(900, 560)[0].factor == pytest.approx(24 / 14), "a small picture is searched for smaller faces"
    factors = [predictor.passes(height, height * 3 // 2)[0].factor for height in (2300, 2828, 3464, 4000, 8000)]
    assert factors == pytest.approx([1.5, 1.2247, 1, 1, 1], rel=1e-3), "a large picture is enlarged less"
    predictor.min_face_px = 16
    assert predictor.passes(4000, 6000)[0].factor == 1.5, "but as much as somebody asks for"
    predictor.min_face_px = None
    assert predictor.passes(720, 1280, video=True)[0].factor == pytest.approx(24 / 36)
    assert predictor.passes(1440, 2560, video=True)[0].factor == pytest.approx(12 / 36)
    for bad in (0, 3.9, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected a smallest face of 4 px or more, got"):
            Predictor.load(spots, min_face_px=bad)


def test_bad_weights_are_one_line(tmp_path, spots):
    with pytest.raises(FileNotFoundError, match="no such file"):
        Predictor.load(tmp_path / "none.onnx")
    for content in (b"", b"nonsense", spots.read_bytes()[:500]):
        (tmp_path / "x.onnx").write_bytes(content)
        with pytest.raises(ValueError, match=r"x.onnx: (not a network|expected a network)") as caught:
            Predictor.load(tmp_path / "x.onnx")
        assert "\n" not in str(caught.value)


def test_shipped_weights_find_nothing_in_an_empty_picture(shipped):
    assert len(Predictor.load(threads=1)(np.full((720, 1280, 3), 90, np.uint8))) == 0


def test_one_predictor_in_many_threads(predictor):
    pictures = [spotted(768, 1280, (k, 3 * k)) for k in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(predictor, pictures))
    assert all(same(faces, predictor(picture)) for faces, picture in zip(together, pictures))


def test_a_network_that_fails_is_one_line(predictor, monkeypatch):
    """As for want of memory: ONNX Runtime has exceptions of its own."""

    class Full:
        def run(self, *_):
            raise Exception("Failed to allocate\nmemory")

    monkeypatch.setattr(predictor.finder, "session", Full())
    with pytest.raises(ValueError, match=r"network failed on 1 x 128 x 64 px.*Failed to allocate memory"):
        predictor.finder.cells(np.zeros((1, 64, 128, 3), np.uint8))


def test_every_kind_of_source_gives_the_same_faces(predictor, tmp_path):
    from PIL import Image

    picture = spotted(768, 1280, (10, 20))
    Image.fromarray(picture).save(tmp_path / "a.png")
    sources = [tmp_path / "a.png", str(tmp_path / "a.png"), (tmp_path / "a.png").read_bytes(), Image.fromarray(picture), picture]
    together = predictor(sources)
    for i, source in enumerate(sources):
        assert predictor(source) == predictor(picture)
        assert same(together[together.image == i], predictor(picture).replace(image=[i]))


def test_bgr_applies_to_arrays_only(monkeypatch, predictor, tmp_path):
    seen = []

    def cells(image: np.ndarray) -> np.ndarray:
        seen.append(image)
        return np.full((len(image), len(grid(*image.shape[1:3])[0]), CELL_SIZE), -9.0, np.float32)

    monkeypatch.setattr(predictor.finder, "cells", cells)
    picture = np.zeros((384, 640, 3), np.uint8)
    picture[..., 0] = 200  # red
    write_image(tmp_path / "a.png", picture)
    for source, bgr in ((picture, False), (picture[..., ::-1], True), ([picture[..., ::-1]], True), (tmp_path / "a.png", True)):
        predictor(source, bgr=bgr, video=True)
        assert seen[-1][0, 100, 100].tolist() == [200, 0, 0]


def test_a_bad_picture_of_a_list_is_reported_and_the_others_go_on(predictor):
    picture = spotted(768, 1280, (10, 20))
    with pytest.warns(PictureWarning, match=r"picture 1 was left out: missing.jpg: no such file") as caught:
        faces = predictor([picture, "missing.jpg", picture])
    assert faces.image.tolist() == [0, 2]
    failure = caught[0].message.failure
    assert (failure.index, failure.source) == (1, "missing.jpg") and isinstance(failure.error, FileNotFoundError)
    assert Path(caught[0].filename).name == "test_predictor.py", "the warning points at the caller's line"


def test_bad_pictures_are_collected_or_raised(predictor, recwarn):
    failures: list[FailedPicture] = []
    assert len(predictor(["missing.jpg", b"nonsense", np.zeros((4, 4), np.uint8)], on_error=failures.append)) == 0
    assert [failure.index for failure in failures] == [0, 1, 2] and not recwarn.list
    with pytest.raises(FileNotFoundError):
        predictor(["missing.jpg"], on_error="raise")
    with pytest.raises(FileNotFoundError):
        predictor("missing.jpg")
    for source in ("missing.jpg", ["missing.jpg"]):
        with pytest.raises(ValueError, match='on_error: expected "warn", "raise" or a function, got \'rasie\''):
            predictor(source, on_error="rasie")


def test_a_picture_whose_decoder_is_missing_is_left_out(predictor, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(40)
    with pytest.warns(PictureWarning, match="picture 0 was left out: image: reading a HEIC image needs pillow-heif"):
        assert len(predictor([heic])) == 0


def test_a_predictor_can_be_pickled(spots):
    predictor = Predictor.load(spots, min_face_px=48, score=0.6, threads=1)
    copy = pickle.loads(pickle.dumps(predictor))
    assert (copy.min_face_px, copy.score, copy.weights) == (48, 0.6, predictor.weights.resolve())
    picture = spotted(768, 1280, (10, 20))
    assert copy(picture) == predictor(picture)
    with pytest.raises(TypeError, match=r"use Predictor.load"):
        pickle.dumps(Predictor(predictor.finder.session))
    with pytest.raises(TypeError, match=r"use Predictor.load"):
        Predictor(predictor.finder.session).on("cpu")


def test_a_copy_finds_the_reader_from_another_directory(spots, tmp_path, monkeypatch):
    (tmp_path / "mine.onnx").write_bytes(READER_WEIGHTS.read_bytes())
    monkeypatch.chdir(tmp_path)
    predictor = Predictor.load(spots, reader="mine.onnx", threads=1)
    monkeypatch.chdir("/")
    for copy in (pickle.loads(pickle.dumps(predictor)), predictor.on("cpu")):
        assert copy.reader.weights == tmp_path / "mine.onnx"
    assert pickle.loads(pickle.dumps(Predictor.load(spots, reader=False))).reader is None


def test_an_eye_reader_is_chosen_beside_the_face_reader(spots, tmp_path, monkeypatch):
    (tmp_path / "eyes.onnx").write_bytes(EYE_READER_WEIGHTS.read_bytes())
    monkeypatch.chdir(tmp_path)
    options = {"reader": READER_WEIGHTS, "threads": 1}
    predictor, plain = Predictor.load(spots, eye_reader="eyes.onnx", **options), Predictor.load(spots, **options)
    monkeypatch.chdir("/")
    for copy in (pickle.loads(pickle.dumps(predictor)), predictor.on("cpu")):
        assert copy.eye_reader.weights == tmp_path / "eyes.onnx" and copy.reader.weights == READER_WEIGHTS.resolve()
    assert plain.eye_reader.weights == EYE_READER_WEIGHTS and pickle.loads(pickle.dumps(plain)).eye_reader.weights == EYE_READER_WEIGHTS
    without = Predictor.load(spots, eye_reader=False, **options)
    assert without.eye_reader is None and pickle.loads(pickle.dumps(without)).eye_reader is None and without.reader is not None
    monkeypatch.chdir(tmp_path)
    assert predictor.fingerprint() == plain.fingerprint() != without.fingerprint(), "the same file under another name"
    for reader in (False, True):  # a network without metadata gets no reader by itself
        with pytest.raises(ValueError, match="eye_reader: expected it with a face reader"):
            Predictor.load(spots, reader=reader, eye_reader="eyes.onnx")
    with pytest.raises(ValueError, match="expected"):
        Predictor.load(spots, reader=READER_WEIGHTS, eye_reader=READER_WEIGHTS)


def test_a_portrait_reader_is_chosen_beside_the_face_reader(spots, tmp_path, monkeypatch):
    (tmp_path / "sfn.onnx").write_bytes(SINGLE_FACE_WEIGHTS.read_bytes())
    monkeypatch.chdir(tmp_path)
    options = {"reader": READER_WEIGHTS, "threads": 1}
    predictor, plain = Predictor.load(spots, portrait_reader="sfn.onnx", **options), Predictor.load(spots, **options)
    without = Predictor.load(spots, portrait_reader=False, **options)
    monkeypatch.chdir("/")
    for copy in (pickle.loads(pickle.dumps(predictor)), predictor.on("cpu")):
        assert copy.portrait_reader.weights == tmp_path / "sfn.onnx"
    assert pickle.loads(pickle.dumps(plain)).portrait_reader.weights == SINGLE_FACE_WEIGHTS
    assert without.portrait_reader is None and pickle.loads(pickle.dumps(without)).portrait_reader is None
    monkeypatch.chdir(tmp_path)
    assert predictor.fingerprint() == plain.fingerprint() != without.fingerprint(), "the same file under another name"
    with pytest.raises(ValueError, match="portrait_reader: expected it with a face reader"):
        Predictor.load(spots, reader=False, portrait_reader="sfn.onnx")
    with pytest.raises(ValueError, match="expected a single-face network"):
        Predictor.load(spots, portrait_reader=READER_WEIGHTS, **options)
    assert not Predictor.load("free", threads=1, portrait_reader=SINGLE_FACE_WEIGHTS).free


def test_the_free_networks_are_free_with_their_own_readers_only():
    if default_eye_reader("free") is None:
        pytest.skip("the free networks are not here")
    for options in ({}, {"eye_reader": False}, {"reader": False}):
        assert Predictor.load("free", threads=1, **options).free
    assert not Predictor.load("free", threads=1, eye_reader=EYE_READER_WEIGHTS).free


def test_a_finder_of_ones_own_is_read_by_the_readers_of_the_model(spots, tmp_path, monkeypatch):
    (tmp_path / "own.onnx").write_bytes(spots.read_bytes())
    monkeypatch.chdir(tmp_path)
    predictor = Predictor.load("small", finder="own.onnx", reader=READER_WEIGHTS, threads=1)
    monkeypatch.chdir("/")
    for copy in (pickle.loads(pickle.dumps(predictor)), predictor.on("cpu")):
        assert copy.weights == tmp_path / "own.onnx" and copy.frame_faces == 16
        assert copy.reader.weights.resolve() == READER_WEIGHTS.resolve()
    with pytest.raises(FileNotFoundError, match=r"none\.onnx: no such file"):
        Predictor.load(finder="none.onnx")


def test_the_fingerprint_names_what_faces_depend_on(spots, tmp_path):
    def fingerprint(**options) -> str:
        return Predictor.load(spots, **({"min_face_px": 48, "reader": READER_WEIGHTS} | options)).fingerprint()

    assert fingerprint() == fingerprint(threads=1)
    assert len({fingerprint(), fingerprint(score=0.9), fingerprint(min_face_px=50), fingerprint(reader=False)}) == 4
    predictor = Predictor.load(spots, min_face_px=48, reader=READER_WEIGHTS)
    assert "score 0.6" not in predictor.fingerprint() and "min_face_px 48" in predictor.fingerprint()
    for part in (predictor, predictor.reader, predictor.eye_reader, predictor.portrait_reader):
        before, changed = predictor.fingerprint(), tmp_path / "other.onnx"
        changed.write_bytes(part.weights.read_bytes() + b"more")
        part.weights = changed
        assert predictor.fingerprint() != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "expected a device among cpu, cuda"),
        ({"device": "cpu", "providers": ["CPUExecutionProvider"]}, "expected a device or providers, got both"),
        ({"providers": ["NoSuchProvider"]}, "this ONNX Runtime has no NoSuchProvider, only"),
        ({"providers": "CPUExecutionProvider"}, "expected a list of execution providers"),
        ({"threads": -1}, "expected a number of threads"),
    ],
)
def test_bad_options_say_what_was_expected(spots, options, message):
    with pytest.raises(ValueError, match=message):
        Predictor.load(spots, **options)


def test_the_device_is_the_preferred_provider(spots):
    assert Predictor.load(spots, device="cpu").finder.session.get_providers() == ["CPUExecutionProvider"]


def test_the_same_predictor_on_another_device(spots):
    other = Predictor.load(spots, min_face_px=30, score=0.4, reader=False).on("cpu")
    assert (other.min_face_px, other.score, other.reader, other.weights) == (30, 0.4, None, spots)
    with pytest.raises(ValueError, match="expected a device among"):
        other.on("gpu")


def test_one_default_model():
    assert DEFAULT_MODEL == "large" and LIVE_MODEL == "small"
    assert inspect.signature(Predictor.load).parameters["weights"].default == DEFAULT_MODEL


def test_metadata_is_read_from_the_file(spots, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(spots))
    metadata = NetworkMetadata("multi_face", Size(640, 384), input_multiple=32, face_range=FaceRange(8, 700))
    onnx.helper.set_model_props(model, metadata.to_props())
    onnx.save(model, str(tmp_path / "named.onnx"))
    predictor = Predictor.load(tmp_path / "named.onnx", min_face_px=16)
    assert predictor.finder.metadata == metadata and predictor.passes(640, 640)[0].factor == 0.5
    assert Predictor.load(spots).finder.limits == (16, None, DEFAULT_FACE_RANGE)
    onnx.helper.set_model_props(model, {"format": "1", "kind": "parameters", "input_size": "128x128"})
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(ValueError, match=r"expected a multi-face network, got one of kind parameters; load it with SingleFace"):
        Predictor.load(tmp_path / "other.onnx")
    with pytest.raises(ValueError, match=r"got one of kind cell; a face reader: use it as Predictor.load\(NETWORK, reader=FILE\)"):
        Predictor.load(READER_WEIGHTS)
    with pytest.raises(FileNotFoundError, match=r"lagre: no such file \(expected small, large, free, or an .onnx.*; did you mean 'large'"):
        Predictor.load("lagre")


class FixedReader:
    """A session of a face reader that reads zeros, and counts its crops."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def run(self, _: None, feed: dict) -> list:
        self.seen.append(len(feed["image"]))
        cells = np.zeros((len(feed["image"]), CELL_SIZE), np.float32)
        cells[:, SLICES["score"]] = 6  # all of them are faces
        return [cells]


def test_in_a_video_with_memory_the_readers_take_turns(spots):
    predictor, memory = Predictor.load(spots, min_face_px=48, threads=1), FrameMemory()
    predictor.reader, predictor.eye_reader, predictor.frame_faces = Reader(FixedReader(), 64), None, 2
    picture = spotted(768, 1280, (10, 20), (30, 60), (30, 20))
    alone = predictor(picture, video=True)
    first, second = (predictor(picture, video=True, memory=memory) for _ in range(2))
    assert same(first, alone) and first.refined.sum() == 2
    assert second.refined.all() and len(second) == 3
    np.testing.assert_allclose(second.expression_of("jawOpen"), 0.5)
    assert predictor([picture, picture], video=True, memory=FrameMemory()).refined.sum() == 5, "the frames of a list follow each other"
    with pytest.raises(ValueError, match="memory: expected it with video=True"):
        predictor(picture, memory=memory)
    predictor.reader = None
    assert len(predictor(picture, video=True, memory=memory)) == 3


@pytest.mark.parametrize(
    ("faces", "video", "face_crops", "portrait_crops"), [(1, True, 8, 4), (4, True, 8, 4), (5, True, 16, 0), (5, False, 40, 10)]
)
def test_in_frames_the_portrait_reader_reads_few_faces(spots, faces, video, face_crops, portrait_crops):
    """A frame has K = 16 crops of the face reader, or 8 and 4 of the portrait reader, which take as long."""
    predictor, session, portraits = Predictor.load(spots, min_face_px=48, threads=1), FixedReader(), FixedReader()
    predictor.reader, predictor.portrait_reader, predictor.frame_faces = Reader(session, 64), PortraitReader(portraits), 16
    places = [(10, 20), (30, 60), (30, 20), (10, 60), (20, 40)][:faces]
    found = predictor(spotted(768, 1280, *places), video=video)
    assert len(found) == faces and session.seen == [face_crops] and sum(portraits.seen) == portrait_crops


def test_where_faces_take_turns_the_portrait_reader_is_left_out(spots, monkeypatch):
    """Also in a frame in which few of the remembered faces still look likely to the multi-face network."""
    predictor, session, portraits = Predictor.load(spots, min_face_px=48, threads=1), FixedReader(), FixedReader()
    predictor.reader, predictor.portrait_reader, predictor.frame_faces = Reader(session, 64), PortraitReader(portraits), 4
    picture, memory = spotted(768, 1280, (10, 20), (30, 60), (30, 20), (10, 60), (20, 40), (40, 40)), FrameMemory()
    for _ in range(2):  # all six are read once
        predictor(picture, video=True, memory=memory)
    find = predictor.finder.find
    monkeypatch.setattr(predictor.finder, "find", lambda *given: dim(find(*given)))
    assert len(predictor(picture, video=True, memory=memory)) == 6 and memory.takes_turns
    assert session.seen == [4, 4, 4] and not portraits.seen


def dim(found: Found) -> Found:
    return Found(found.faces.replace(score=np.full(len(found.faces), 0.08, np.float32)), found.height_px)


def test_of_two_readings_of_one_face_the_better_placed_is_kept(spots, monkeypatch):
    predictor = Predictor.load(spots, min_face_px=48, threads=1)
    predictor.reader, predictor.eye_reader = Reader(FixedReader(), 64), None
    found = predictor.finder.find(spotted(384, 640, (10, 20)), predictor.passes(384, 640), 0.1)
    whole = found.faces
    part = whole.replace(box=whole.box + np.float32([4, 8, -4, -8]), score=whole.score * np.float32(0.1))
    both = type(found)(Faces.concatenate([part, whole]), np.repeat(found.height_px, 2))
    monkeypatch.setattr(predictor.finder, "find", lambda *_: both)
    monkeypatch.setattr(predictor.reader, "refine", lambda _, faces, *rest: faces.replace(score=np.float32([0.99, 0.95])))
    faces = predictor._detect(np.zeros((384, 640, 3), np.uint8), [])
    assert len(faces) == 1 and faces.box == pytest.approx(whole.box)


def test_the_reader_reads_all_faces_of_a_picture_and_some_of_a_frame(spots):
    session = FixedReader()
    predictor = Predictor.load(spots, min_face_px=48, threads=1)
    predictor.reader, predictor.eye_reader = Reader(session, 64), None
    predictor.frame_faces = 2
    picture = spotted(768, 1280, (10, 20), (30, 60), (30, 20))
    still, frame = predictor(picture), predictor(picture, video=True)
    assert session.seen == [24, 2] and still.refined.tolist() == [True] * 3 and frame.refined.sum() == 2
    np.testing.assert_allclose(still.expression_of("jawOpen"), 0.5)
    np.testing.assert_array_equal(still.expression_of("jawLeft"), 0, err_msg="jawLeft and jawRight cancel")
    assert (frame.expression[~frame.refined] < 0.1).all()
    read_once, read_often = frame[frame.refined], still[frame.refined]
    np.testing.assert_allclose(read_often.expression, read_once.expression, atol=1e-6)
    np.testing.assert_allclose(read_often.box, read_once.box, atol=2, err_msg="the crops that are moved are brought back")
    assert len(predictor(np.zeros((768, 1280, 3), np.uint8), video=True)) == 0 and session.seen == [24, 2, 2]
