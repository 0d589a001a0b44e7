"""The tab Clip: drop a clip, choose whom to keep and as what, and get a video and a 3D scene."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from mfn.animation.animate import animate
from mfn.animation.checkpoint import ClipDetections, checkpoint_folder, detection_key, save_detections
from mfn.animation.clip import detect_clip, track_people
from mfn.animation.options import AnimateOptions, Hooks
from mfn.animation.people.choose import Person, people_of, portraits
from mfn.cli.studio.limits import check_clip
from mfn.cli.studio.models import Models
from mfn.cli.studio.photo import likeness_slider
from mfn.cli.studio.sessions import Session, Sessions
from mfn.cli.studio.toast import on_drop, with_toast
from mfn.inference.predictor import Predictor
from retarget.io.command_line import seconds
from retarget.io.images import encode_jpeg
from retarget.rig.avatars import AVATAR_NAMES, find_avatar

LEAVE_OUT = "leave out"
NETWORK_INFO = "small is faster: it leaves out the smallest faces, and of more than 16 people the readers read 16 at a time, in turn."
NO_CLIP = "Drop a clip: everybody in it is found first; then you choose who becomes what."


class FoundClip(NamedTuple):
    """A clip whose people were found: its file, the network, the part, the faces of its frames, and how each person looks.

    `number` is that of the search: choices that the user made for the people of another search do not fit these.
    """

    number: int
    source: Path
    predictor: Predictor
    start_s: float
    end_s: float | None
    detections: ClipDetections
    people: list[Person]
    pictures: dict[int, str]
    """Number of the person -> a small JPEG as a data URL."""


def find_people(session: Session, predictor: Predictor, source: Path, part: tuple[float, float | None], hooks: Hooks) -> FoundClip:
    """Detect and track the people of a clip.

    Args:
        session: Whose clip it is.
        predictor: Detects the faces.
        source: The clip, in a folder of the session.
        part: Where to begin and to end, seconds; None for the end of the clip.
        hooks: Called while the work goes on.

    Raises:
        ValueError: The part is too long, there is nobody in it, or the work was stopped.
    """
    start_s, end_s = part
    check_clip(source, start_s, end_s, session.limits)
    end_s = start_s + session.limits.max_seconds if end_s is None else end_s
    options = AnimateOptions(start_s=start_s, end_s=end_s)
    detections = detect_clip(predictor, str(source), source.with_name("found.glb"), options, hooks)
    if not detections.complete:
        raise ValueError(f"{source.name}: stopped")
    faces = track_people(detections, options)
    if not len(faces):
        raise ValueError(f"{source.name}: no face found")
    shown = portraits(str(source), faces, start_s, end_s)
    pictures = {number: "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(image, 85)).decode() for number, image in shown.items()}
    return FoundClip(session.next_number(), source, predictor, start_s, end_s, detections, people_of(faces, detections.time_s), pictures)


def write_clip(session: Session, found: FoundClip, choice: dict[int, str], options: AnimateOptions, hooks: Hooks) -> list[Path]:
    """Write the 3D scene and then the video of a clip.

    Args:
        session: Whose clip it is.
        found: The clip and its people.
        choice: Number of each person -> the name of their character, or `LEAVE_OUT`.
        options: `calibrate` and `likeness` are used.
        hooks: Called while the work goes on.

    Returns:
        The .glb and the .mp4 file. A run that is stopped writes a shorter video. Older files of this user's clips are deleted, but not
        those that the page shows until these are complete.
    """
    drop = [number for number, name in choice.items() if name == LEAVE_OUT]
    kept = [name for number, name in sorted(choice.items()) if name != LEAVE_OUT]
    if not kept:
        raise ValueError("everybody is left out; keep at least one person")
    avatars = [str(session.rigs[name].glb.path) if name in session.rigs else str(find_avatar(name)) for name in kept]
    files, key = list[Path](), detection_key(str(found.source), found.predictor, found.start_s, found.end_s)
    with session.result_folder("clip") as folder:
        for suffix in (".glb", ".mp4"):
            out = folder / (found.source.stem + suffix)
            save_detections(checkpoint_folder(out), key, found.detections)
            settings = AnimateOptions(
                out=out, avatars=avatars, drop=drop, start_s=found.start_s, end_s=found.end_s, resume=True,
                calibrate=options.calibrate, likeness=options.likeness,
            )  # fmt: skip
            files += animate(found.predictor, str(found.source), settings, hooks).files
    return files


def progress_hooks(session: Session, show: Callable[..., object]) -> Hooks:
    """Return hooks that show progress on the page and stop when the user asks for it or leaves.

    Args:
        session: Whose work it is.
        show: A `gradio.Progress`.
    """

    def frames(text: str) -> Callable[[int, int], None]:
        return lambda done, total: void(show((done, max(done, total)), desc=text, unit="frames"))

    def should_stop() -> bool:
        asked = session.stop.is_set()
        if not session.closed:
            session.stop.clear()
        return asked

    return Hooks(on_frame=frames("finding people"), on_drawn=frames("drawing the video"), should_stop=should_stop)


def void(value: object) -> None:
    """Return nothing, whatever a function returned."""


@dataclass(frozen=True)
class ClipTab:
    """The tab's connection to the sessions and networks."""

    sessions: Sessions
    models: Models

    def on_upload(
        self, file: Any, network: str, start: str, end: str, request: gr.Request, progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> list[Any]:  # fmt: skip
        """Find the people of a new clip."""
        session = self.sessions.get_for_upload(request.session_hash or "", file["path"])
        with session.lock:
            source = session.take_upload(file["path"], replaces=session.clip is not None)
            return [None, *self._find(session, source, network, (start, end), progress)]

    def on_again(
        self, network: str, start: str, end: str, request: gr.Request, progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> list[Any]:  # fmt: skip
        """Find the people of the present clip once more, with other settings."""
        session = self.sessions.get(request.session_hash or "")
        with session.lock:
            if session.clip is None:
                return [gr.skip()] * 5
            return self._find(session, session.clip.source, network, (start, end), progress)

    def _find(self, session: Session, source: Path, network: str, part: tuple[str, str], progress: Any) -> list[Any]:
        before = session.clip
        try:
            session.stop.clear()
            part_s = seconds(part[0] or "0"), seconds(part[1]) if part[1] else None
            found = find_people(session, self.models.get(network), source, part_s, progress_hooks(session, progress))
        except BaseException:
            if before is None or before.source != source:
                session.drop_folder(source)
            raise
        if before is not None and before.source != source:
            session.drop_folder(before.source)
        session.clip = found
        people = f"{len(found.people)} {'person' if len(found.people) == 1 else 'people'}"
        line = f"**{source.name}**: {people} found. Choose a character for each; then press **Make video and scene**."
        common = {"search": found.number, "clip": source.parent.name}
        cards = [
            common | {"number": person.number, "text": str(person), "picture": found.pictures.get(person.number, "")}
            for person in found.people
        ]
        return [line, cards, None, gr.DownloadButton(value=None, interactive=False), gr.DownloadButton(value=None, interactive=False)]

    def on_write(
        self, values: dict[Any, Any], request: gr.Request, progress: gr.Progress = gr.Progress()  # noqa: B008
    ) -> list[Any]:  # fmt: skip
        """Write the files. `values` has the value of each control by the control; those of people know their number."""
        by_name = {control.elem_id: value for control, value in values.items()}
        session = self.sessions.get(request.session_hash or "")
        with session.lock:
            if session.clip is None:
                raise ValueError("expected a clip; drop one first")
            if by_name.get("clip-search") != str(session.clip.number):
                name = session.clip.source.name
                raise ValueError(f"{name}: expected choices for its people, got those of an earlier search; choose and press again")
            session.stop.clear()
            numbers = [person.number for person in session.clip.people]
            choice = {n: str(by_name[f"clip-as-{n}"]) if by_name[f"clip-keep-{n}"] else LEAVE_OUT for n in numbers}
            options = AnimateOptions(calibrate=bool(by_name["clip-calibrate"]), likeness=float(by_name["clip-likeness"]))
            scene, video = write_clip(session, session.clip, choice, options, progress_hooks(session, progress))
        return [str(video), *(gr.DownloadButton(value=str(file), interactive=True) for file in (video, scene))]

    def on_stop(self, request: gr.Request) -> None:
        """Stop the work on the clip."""
        self.sessions.get(request.session_hash or "").stop.set()

    def build(self, own: gr.State) -> None:
        """Lay out the tab. `own` holds the names of the user's own characters."""
        settings: dict[str, Any] = {"preprocess": False, "concurrency_id": "clip", "concurrency_limit": 1, "api_visibility": "private"}
        cards = gr.State(list[Any]())
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                file = gr.File(label="Clip", height=150, elem_id="clip-file")
                names = self.models.names()
                network = gr.Radio(names, value=self.models.default, label="Network", info=NETWORK_INFO, visible=len(names) > 1)
                with gr.Accordion("More", open=False):
                    with gr.Row():
                        start = gr.Textbox("", label="From", placeholder="0:00", min_width=100, elem_id="clip-start")
                        end = gr.Textbox("", label="To", placeholder="the end", min_width=100, elem_id="clip-end")
                    again = gr.Button("Find people again", size="sm")
                    calibrate = gr.Checkbox(False, label="Subtract each person's resting face", elem_id="clip-calibrate")
                    likeness = likeness_slider(self.models, elem_id="clip-likeness")
            with gr.Column(scale=2, min_width=300):
                status = gr.Markdown(NO_CLIP, elem_id="clip-status")
                people = gr.Column()
                with gr.Row():
                    write = gr.Button("Make video and scene", variant="primary", min_width=180, elem_id="clip-write")
                    stop = gr.Button("Stop", min_width=80, scale=0)
                video = gr.Video(label="Video", interactive=False, height=360, elem_id="clip-video", buttons=[])
                with gr.Row():
                    buttons = [gr.DownloadButton(name, interactive=False, size="md") for name in ("Video (.mp4)", "3D scene (.glb)")]
        outputs = [status, cards, video, *buttons]
        on_drop(file, with_toast(self.sessions, self.on_upload), [network, start, end], outputs, **settings)
        again.click(with_toast(self.sessions, self.on_again), [network, start, end], outputs, show_progress_on=file, **settings)
        stop.click(with_toast(self.sessions, self.on_stop), queue=False, api_visibility="private")

        def draw_cards(shown: list[dict[str, Any]], own_names: list[str]) -> None:
            with gr.Row(elem_id="clip-people"):
                controls = {control for card in shown for control in draw_card(card, [*AVATAR_NAMES, *own_names])}
                for card in shown[:1]:  # the browser sends whose choices it shows
                    search = str(card["search"])
                    controls.add(gr.Textbox(search, visible="hidden", elem_id="clip-search", key=f"search-{search}"))
            call, chosen = with_toast(self.sessions, self.on_write), {calibrate, likeness, *controls}
            write.click(call, chosen, [video, *buttons], show_progress_on=video, **settings)

        with people:
            gr.render(inputs=[cards, own])(draw_cards)


def draw_card(card: dict[str, Any], names: list[str]) -> list[Any]:
    """Draw one person: a picture, whether to keep them, and the character. Returns the controls."""
    number = card["number"]
    with gr.Column(min_width=130, scale=0, elem_classes="person"):
        gr.HTML(f'<img src="{card["picture"]}" alt="person {number}" title="{card["text"]}">')
        keep = gr.Checkbox(
            True, label=f"person {number}", interactive=True, elem_id=f"clip-keep-{number}", key=f"keep-{card['clip']}-{number}"
        )  # fmt: skip
        name = gr.Dropdown(
            names, value=AVATAR_NAMES[number % len(AVATAR_NAMES)], show_label=False, container=False, interactive=True,
            elem_id=f"clip-as-{number}", key=f"as-{card['clip']}-{number}",
        )  # fmt: skip
    return [keep, name]
