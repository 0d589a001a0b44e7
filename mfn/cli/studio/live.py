"""The tab Live: the webcam with faces or characters drawn in."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
import numpy as np

from mfn.animation.bridge import faces_to_take
from mfn.animation.live import LiveStatistics
from mfn.animation.preview_window import draw_people
from mfn.cli.studio.models import Models
from mfn.cli.studio.sessions import Session, Sessions
from mfn.cli.studio.toast import with_toast
from mfn.inference.predictor import Predictor
from mfn.inference.readers.frame_memory import FrameMemory
from mfn.video.tracking.online_tracker import Tracker
from retarget.geometry.weak_perspective import default_focal_px
from retarget.io.image_decoder import check_image_size, image_size
from retarget.io.images import Image, decode_image
from retarget.performance.calibrate import StreamCalibration
from retarget.rig.avatars import AVATAR_NAMES
from retarget.rig.rig import Rig

FACES = "faces"
EVERY_S = 0.1  # between two frames that the browser sends
_MAX_GAP_S = 5.0  # after a longer pause a stream begins anew


@dataclass(eq=False)
class Stream:
    """What belongs to the webcam of one user: who is who, the neutral faces, and the speed."""

    tracker: Tracker = field(default_factory=lambda: Tracker(reuse=True))
    memory: FrameMemory = field(default_factory=FrameMemory)
    calibration: StreamCalibration = field(default_factory=StreamCalibration)
    statistics: LiveStatistics = field(default_factory=lambda: LiveStatistics(quiet=True))
    last_s: float = 0.0

    def draw(self, predictor: Predictor, picture: Image, time_s: float, rigs: list[Rig]) -> Image:
        """Detect and track the people of a frame and draw them into it.

        Args:
            predictor: Detects the faces.
            picture: (H, W, 3) uint8 RGB.
            time_s: When it arrived, seconds; it rises from call to call.
            rigs: The characters. Empty: meshes of the faces.
        """
        start_s = time.perf_counter()
        faces = self.tracker.update(predictor(picture, video=True, memory=self.memory), time_s)
        size = picture.shape[1], picture.shape[0]
        focal_px = default_focal_px(*size)
        take = self.calibration.update(faces_to_take(faces, size, focal_px, np.array([time_s])))
        shown = draw_people(picture, faces, take, focal_px, rigs)
        self.statistics.add(time.perf_counter() - start_s, 0, len(faces))
        self.last_s = time_s
        return shown


def stream_of(session: Session, now_s: float) -> Stream:
    """Return the stream of a session; a new one for the first frame and after a pause."""
    if session.stream is None or now_s - session.stream.last_s > _MAX_GAP_S:
        session.stream = Stream(last_s=now_s)
    return session.stream


def decode_frame(payload: dict[str, Any], max_pixels: int) -> Image:
    """Decode a frame that the browser sent, either as a data URL or as a file.

    Raises:
        ValueError: It is no picture, or too large.
    """
    url = payload.get("url") or ""
    if url.startswith("data:"):
        data = base64.b64decode(url.partition(",")[2], validate=False)
    else:
        with open(payload["path"], "rb") as file:
            data = file.read()
    size = image_size(data)
    if size is not None:
        check_image_size(size, max_pixels, "webcam")
    return decode_image(data, "webcam")


@dataclass(frozen=True)
class LiveTab:
    """The tab's connection to the sessions and networks."""

    sessions: Sessions
    models: Models

    def on_frame(self, frame: Any, show: str, request: gr.Request) -> list[Any]:
        """Draw one frame."""
        if frame is None:
            return [gr.skip(), gr.skip()]
        session = self.sessions.get(request.session_hash or "")
        picture, now_s = decode_frame(frame, session.limits.max_pixels), time.monotonic()
        stream = stream_of(session, now_s)
        rigs = [] if show == FACES else [session.rig(show)]
        shown = stream.draw(self.models.get(self.models.live), picture, now_s, rigs)
        return [session.keep_picture("live", shown), stream.statistics.line()]

    def on_neutral(self, request: gr.Request) -> str:
        """Make the present faces the neutral ones."""
        session = self.sessions.get(request.session_hash or "")
        count = 0 if session.stream is None else session.stream.calibration.set_neutral()
        if not count:
            raise ValueError("expected a face in the picture; start the camera first")
        return f"{count} neutral {'face' if count == 1 else 'faces'} set"

    def build(self) -> gr.Radio:
        """Lay out the tab. Returns the choice of characters, which the tab Rig makes longer."""
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                camera = gr.Image(
                    label="Camera", sources=["webcam"], streaming=True, height=300, elem_id="live-camera",
                    webcam_options=gr.WebcamOptions(constraints={"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}}), buttons=[],
                )  # fmt: skip
                show = gr.Radio([FACES, *AVATAR_NAMES], value=AVATAR_NAMES[0], label="Show", elem_id="live-show")
                neutral = gr.Button("This is my neutral face", elem_id="live-neutral")
            with gr.Column(scale=2, min_width=300):
                shown = gr.Image(label="Result", interactive=False, streaming=True, elem_id="live-shown", buttons=["fullscreen"])
                line = gr.Markdown("Press **Click to Access Webcam**, allow the camera, then press **Record**.", elem_id="live-line")
        settings: dict[str, Any] = {"preprocess": False, "api_visibility": "private"}
        users = self.sessions.limits.max_users
        camera.stream(
            with_toast(self.sessions, self.on_frame), [camera, show], [shown, line], stream_every=EVERY_S, time_limit=None,
            concurrency_limit=users, show_progress="hidden", **settings,
        )  # fmt: skip
        neutral.click(with_toast(self.sessions, self.on_neutral), outputs=line, queue=False, **settings)
        return show
