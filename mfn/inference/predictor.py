"""`Predictor`: pictures in, `Faces` out. It runs the shipped networks with ONNX Runtime, without torch.

A multi-face network finds the faces. Then a face reader and a portrait reader read each of them once more, and an eye reader each eye, from
the picture's own pixels. In frames with many faces the portrait reader is left out.

Letters: H W size of a picture in px.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mfn.inference.decode import SCORE
from mfn.inference.face_finder import FaceFinder
from mfn.inference.input.passes import Pass, plan_passes
from mfn.inference.input.picture_sources import read_pictures
from mfn.inference.input.second_pass import faces_in_picture, stretch_dim, views
from mfn.inference.model_zoo import (
    DEFAULT_MODEL,
    FACES_ACROSS,
    MAX_ENLARGED_PX,
    MIN_FACE_PX,
    MODELS,
    REFERENCE_HEIGHT_PX,
    default_eye_reader,
    default_portrait_reader,
    default_reader,
    find_model,
)
from mfn.inference.nms import merge
from mfn.inference.readers.antagonists import cancel_antagonists
from mfn.inference.readers.eye_reader import EyeReader
from mfn.inference.readers.face_reader import CANDIDATE_SCORE, Reader
from mfn.inference.readers.frame_memory import FrameMemory
from mfn.inference.readers.portrait_reader import CropCounts, PortraitReader, share_crops
from mfn.inference.readers.reading_rules import FREE_RULES, NO_READER, ScoreRule
from mfn.inference.sessions.devices import choose_providers
from mfn.inference.sessions.onnx_session import check_multi_face, open_session
from mfn.structures.cells import IDENTITY_SIZE
from mfn.structures.faces import Faces
from retarget.io.files import file_digest
from retarget.io.images import Image

if TYPE_CHECKING:
    import onnxruntime

    from mfn.inference.input.picture_sources import OnError, Source
    from mfn.inference.sessions.devices import ProviderLike

READING = 3  # raised where the same networks and options find other faces than in the version before; see `Predictor.fingerprint`
SMALLEST_FACE_PX = 4.0  # smaller faces cannot be asked for


class Predictor:
    """Finds every face of a picture and predicts its pose, identity and expression.

        predictor = mfn.Predictor.load()
        faces = predictor("crowd.jpg")

    The multi-face network finds all faces in one pass, whose time depends on the size of the picture and on the smallest face. The
    readers then read each face once more: in photos all of them, so this time grows with their number; in frames at most
    `frame_faces`. A predictor can be pickled, and called from several threads.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        *,
        min_face_px: float | None = None,
        score: float = SCORE,
        reader: Reader | None = None,
        eye_reader: EyeReader | None = None,
        portrait_reader: PortraitReader | None = None,
    ) -> None:
        """Wrap sessions of ONNX Runtime. Most programs use `load` instead.

        Args:
            session: A network with input `image` (B, H, W, 3) uint8 RGB and output `cells` (B, A, D).
            min_face_px, score: See `load`.
            reader: Reads the faces once more. None: they keep what the multi-face network predicts.
            eye_reader: Reads the eyes of the faces that `reader` has read.
            portrait_reader: Reads the faces that `reader` has read once more, in frames only if there are few.
        """
        if min_face_px is not None and not SMALLEST_FACE_PX <= min_face_px < float("inf"):
            raise ValueError(f"expected a smallest face of {SMALLEST_FACE_PX:.0f} px or more, got {min_face_px:g}")
        if not 0 <= score <= 1:
            raise ValueError(f"expected a score from 0 to 1, got {score}")
        self.finder = FaceFinder(session)
        """Finds the faces, which the readers then read; `finder.cells` is the network alone."""
        self.min_face_px, self.score = min_face_px, score
        self.reader, self.eye_reader, self.portrait_reader = reader, eye_reader, portrait_reader
        self.weights: Path | None = None
        """The file of the network, if `load` opened it."""
        self.frame_face_px = MODELS[DEFAULT_MODEL].min_face_px
        """Smallest face to find in frames of 720 px, where `min_face_px` is None."""
        self.frame_faces = MODELS[DEFAULT_MODEL].frame_faces
        """Number of faces of a frame that the readers read."""
        self.free = False
        """Whether its networks were learned from what a company may use (see `load`). Then clips are read without `looks.npz`, too."""
        self._load_options: dict[str, Any] = {}

    @classmethod
    def load(  # noqa: PLR0913  # what most programs choose from, by name
        cls,
        weights: str | Path = DEFAULT_MODEL,
        *,
        min_face_px: float | None = None,
        score: float = SCORE,
        reader: str | Path | bool = True,
        eye_reader: str | Path | bool = True,
        portrait_reader: str | Path | bool = True,
        finder: str | Path | None = None,
        threads: int = 0,
        device: str | None = None,
        providers: Sequence[ProviderLike] | None = None,
    ) -> Predictor:
        """Load a network.

        Args:
            weights: "large", "small" for webcams, "free", or the path of an ONNX file made by `mfn export`. The first two are the same
                network; in frames, "small" looks for larger faces, and the readers read fewer of them, which takes half the time. "free"
                was learned from what a company may use; it is less accurate.
            min_face_px: Height of the smallest face to find, in px of the picture. Half of it takes up to four times as long. None: in
                pictures 16 px, or a fortieth of the shorter side if that is less, growing to 24 px in those of 8 to 18 megapixels, which
                are enlarged less (some faces are lost there); in frames of clips a share of the
                frame's shorter side that the model sets.
            score: Smallest probability of a face that is reported, 0 to 1.
            reader: Whether each face and each eye is read in a crop of its own (`Faces.refined`), or the path of a face reader. A network
                without metadata, of an older version or of others, gets a reader only by its path.
            eye_reader: Whether each eye of the faces that `reader` has read is read too, or the path of an eye reader.
            portrait_reader: Whether the faces that `reader` has read are read in larger crops too: in pictures all, in frames up to 16 (4
                with "small"), or the path of a single-face network.
            finder: The path of a multi-face network that takes the place of that of `weights`. The readers and how they count stay.
            threads: CPU cores that one call uses; 0 for all. Use 1 if you run several processes or threads. OpenCV, which scales the
                pictures, has its own setting for the whole process: `cv2.setNumThreads`.
            device: "cpu", "cuda", "coreml", "directml", "openvino", "tensorrt" or "rocm"; "cuda:1" is the second GPU. None: the CPU.
            providers: Execution providers of ONNX Runtime instead of `device`: names, or pairs of a name and a dictionary of options.

        Raises:
            FileNotFoundError: If there is no such network.
            ValueError: If the file is another network, an option is not valid, the device is missing, or there is the path of an eye
                or portrait reader without a face reader.
        """
        model = find_model(weights) if finder is None else find_model(weights)._replace(path=find_model(finder).path)
        if threads < 0:
            raise ValueError(f"expected a number of threads, or 0 for all cores, got {threads}")
        chosen = choose_providers(device, providers)
        session = open_session(model.path, threads, chosen)
        known = check_multi_face(model.path, session) is not None
        path = (default_reader(weights) if known else None) if reader is True else Path(reader) if reader else None
        eyes = default_eye_reader(weights) if eye_reader is True else Path(eye_reader) if eye_reader else None
        portraits = default_portrait_reader(weights) if portrait_reader is True else Path(portrait_reader) if portrait_reader else None
        if eyes and not path and eye_reader is not True:
            raise ValueError(f"eye_reader: expected it with a face reader, which finds the eyes; give reader=FILE too, got {reader}")
        if portraits and not path and portrait_reader is not True:
            raise ValueError(f"portrait_reader: expected it with a face reader, which it completes; give reader=FILE too, got {reader}")
        predictor = cls(session, min_face_px=min_face_px, score=score)
        if path:
            predictor.reader = Reader.load(path, threads, chosen)
            predictor.eye_reader = EyeReader.load(eyes, threads, chosen) if eyes else None
            predictor.portrait_reader = PortraitReader.load(portraits, threads, chosen) if portraits else None
        predictor.weights, predictor.frame_face_px, predictor.frame_faces = model[:3]
        predictor.free = model.free and finder is None and all(isinstance(part, bool) for part in (reader, eye_reader, portrait_reader))
        if model.free and reader is True and predictor.reader is not None:
            predictor.reader.rules = FREE_RULES
        options = {"weights": weights if str(weights) in MODELS else find_model(weights).path.resolve(), "min_face_px": min_face_px}
        options |= {"finder": finder and model.path.resolve()}
        options |= {"reader": path.resolve() if path and reader is not True else bool(reader)}
        options |= {"eye_reader": eyes.resolve() if eyes and eye_reader is not True else bool(eye_reader)}
        options |= {"portrait_reader": portraits.resolve() if portraits and portrait_reader is not True else bool(portrait_reader)}
        predictor._load_options = options | {"score": score, "threads": threads, "providers": chosen}
        return predictor

    def on(self, device: str) -> Predictor:
        """Load the same network with the same options on another device; see `load`.

        Raises:
            TypeError: If `load` did not make this predictor, so that its file is unknown.
        """
        return type(self).load(**(self._known_options() | {"device": device, "providers": None}))

    def __reduce__(self) -> tuple[Callable[[], Predictor], tuple[()]]:
        """Pickle the options of `load`, not the session."""
        return partial(type(self).load, **self._known_options()), ()

    def _known_options(self) -> dict[str, Any]:
        """Return the options of `load` that made this predictor."""
        if self.weights is None:
            raise TypeError("a Predictor made from a session cannot be pickled or loaded again; use Predictor.load")
        return self._load_options

    def fingerprint(self) -> str:
        """Return a line that two predictors share only if they find the same faces: for files that a later run goes on with.

        It holds a digest of the files of all networks, and the options that change results. The device and the number of threads,
        which change the last digits only, are no part of it. Networks of a session, whose files are unknown, count as equal.
        """
        files = [None if part is None else part.weights or "session" for part in (self, self.reader, self.eye_reader, self.portrait_reader)]
        digests = [file_digest(file) if isinstance(file, Path) else str(file) for file in files]
        networks = hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]
        frames = f"frames {self.frame_face_px:g} px, {self.frame_faces} faces"
        rules = "" if self.reader is None else f", {tuple(self.reader.rules)}"
        return f"{networks}, reading {READING}, score {self.score:g}, min_face_px {self.min_face_px}, {frames}{', free' * self.free}{rules}"

    def __repr__(self) -> str:
        file, frames = str(self.weights or "session"), f"{self.frame_face_px:g} px, {self.frame_faces} faces"
        return f"Predictor({file!r}, min_face_px={self.min_face_px}, score={self.score}, frames: {frames})"

    def __call__(
        self,
        source: Source | Sequence[Source],
        *,
        video: bool = False,
        memory: FrameMemory | None = None,
        bgr: bool = False,
        on_error: OnError = "warn",
    ) -> Faces:
        """Find all faces of one picture or of a list of pictures.

        Args:
            source: A path, the bytes of an image file, a Pillow image, or an array (H, W, 3) uint8 RGB; or a list of them.
            video: Whether the pictures are frames of a clip or camera. Then the time does not depend on the number of faces: the reader
                reads a fixed number of them, the surest ones or in turns (see `memory`), and no second pass follows where no sure
                face was found.
            memory: Remembers the last frames of one video, which are given in order: in a crowd of more faces than the readers
                read, the faces then take turns. Only with `video`. None: each frame is read by itself.
            bgr: Whether arrays are BGR, as OpenCV reads them. It does not apply to the other sources.
            on_error: What happens if a picture of a list cannot be read. "warn" leaves it out with a `PictureWarning`; "raise" raises
                its error; a function is called with a `FailedPicture`, for example the `append` of your own list.

        Returns:
            Faces in px of the original pictures, in the order of the list, best score first in each picture. `image` is the place of the
            picture in the list.

        Raises:
            ValueError: If a single picture cannot be read, if the network fails, or if there is a `memory` without `video`.
            FileNotFoundError: If a single picture does not exist.
        """
        if memory is not None and not video:
            raise ValueError("memory: expected it with video=True, because faces of photos do not take turns; leave it out")
        found = [Faces.empty(IDENTITY_SIZE)]
        for number, picture, is_bgr in read_pictures(source, bgr, on_error):
            faces = self._predict(np.ascontiguousarray(picture[..., ::-1]) if is_bgr else picture, video, memory)
            found.append(faces.replace(image=np.full(len(faces), number)))
        return Faces.concatenate(found)

    def passes(self, height: int, width: int, video: bool = False) -> list[Pass]:
        """Return the scales and tiles at which a picture of this size in px is read."""
        shorter = min(height, width)
        if video:
            default = shorter * self.frame_face_px / REFERENCE_HEIGHT_PX
        else:
            enlargement = max(1.0, (MAX_ENLARGED_PX / (height * width)) ** 0.5)
            default = max(min(MIN_FACE_PX, shorter / FACES_ACROSS), self.finder.limits.face_range.min_px / enlargement)
        return plan_passes(height, width, self.min_face_px or max(SMALLEST_FACE_PX, default), self.finder.limits)

    def _predict(self, picture: Image, video: bool, memory: FrameMemory | None) -> Faces:
        """Find and read the faces of a picture (H, W, 3) uint8 RGB."""
        picture = stretch_dim(picture)
        passes = self.passes(picture.shape[0], picture.shape[1], video)
        found = self._detect(picture, passes, self.frame_faces if video else None, memory)
        if not video and not (found.score >= self._score_rule.sure).any():
            found = self._detect_in_views(picture, passes[0].factor, found)
        return found

    @property
    def _score_rule(self) -> ScoreRule:
        return NO_READER if self.reader is None else self.reader.rules.score

    def _detect(
        self, picture: Image, passes: Sequence[Pass], count: int | None = None, memory: FrameMemory | None = None
    ) -> Faces:
        """Find the faces of a picture and read them, best score first. `count`: see `Reader.refine`; `memory`: see `__call__`."""
        found = self.finder.find(picture, passes, self.score if self.reader is None else min(self.score, CANDIDATE_SCORE))
        if self.reader is None:
            return found.faces
        chosen = None if memory is None else memory.choose(found.faces, self.frame_faces, picture.shape[:2])
        crowd = memory is not None and memory.takes_turns
        crops = CropCounts(count, 0) if self.portrait_reader is None or crowd else share_crops(found.faces.score, count)
        faces = self.reader.refine(picture, found.faces, found.height_px, crops.face, chosen)
        faces = faces if memory is None else memory.recall(found.faces, faces)
        sure = np.flatnonzero(faces.score >= self.score)
        # Of two readings of one face, the multi-face network's score helps to choose the better placed one. A crop around a part of a
        # face may look as sure to the reader, which then reads nonsense. The root was chosen on held-out photos of crowds.
        rows = sure[merge(faces.box[sure], faces.score[sure], np.sqrt(found.faces.score[sure]))]
        faces = faces[rows]
        rules, kept = self.reader.rules, 0.0
        if self.portrait_reader is not None and crops.portrait != 0:
            faces = self.portrait_reader.refine(picture, faces, crops.portrait, rules)
            kept = rules.eyes
        if self.eye_reader is not None:
            faces = self.eye_reader.refine(picture, faces, count, rules.squint, kept)
        faces = cancel_antagonists(faces)
        return faces if memory is None else memory.finish(faces, rows, sure)

    def _detect_in_views(self, picture: Image, factor: float, best: Faces) -> Faces:
        """Detect sure faces in other views of a picture. The first views that hold more than `best` replace it."""
        unsure, (low, high) = best, self.finder.limits.face_range
        for group in views(picture, high, factor):
            for view in group:
                height, width = view.pixels.shape[:2]
                found = self._detect(view.pixels, plan_passes(height, width, low, self.finder.limits))
                sure = found.score >= max(self._score_rule.sure_in_view, self.score)
                if found.score[sure].sum() > best.score[best.score >= SCORE].sum():  # a low `score` changes nothing here
                    best = faces_in_picture(found[sure], view)
            if best is not unsure:
                return best
        return best
