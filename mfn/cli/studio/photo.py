"""The tab Photo: drop a photo and get its faces as a drawing, a table, characters, a 3D scene and files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from mfn.animation.options import AnimateOptions, Hooks
from mfn.animation.photo import Photo, animate_faces
from mfn.batch.picture import decode_picture
from mfn.cli.detect import Drawing, faces_json, summary, table_rows
from mfn.cli.studio.models import Models
from mfn.cli.studio.sessions import Session, Sessions
from mfn.cli.studio.toast import on_drop, with_toast
from mfn.inference.model_zoo import MODELS
from mfn.structures.faces import Faces
from retarget.gltf.document import Glb, read_glb, write_glb
from retarget.io.files import atomic_write
from retarget.io.images import Image, read_image, write_image
from retarget.rig.avatars import AVATAR_NAMES, DEFAULT_AVATAR

HEADERS = ["face", "score", "pitch", "yaw", "roll", "expressions"]
COLUMN_WIDTHS = ["60px", "70px", "70px", "60px", "60px", "480px"]
LIKENESS_INFO = "How much our characters look like the people."
NETWORK_INFO = "In photos small and large do the same."
_LIGHTS = "KHR_lights_punctual"
_SHOWN_SIDE_PX = 1600  # of the pictures on the page; files have the size of the photo


class PhotoFiles(NamedTuple):
    """What was made of a photo: two pictures and a scene for the page, and the files for the user. None where there is no face."""

    overlay: Path
    characters: Path | None
    view: Path | None
    scene: Path | None
    picture: Path | None
    faces: Path


def find_faces(session: Session, models: Models, file: Path, network: str) -> Photo:
    """Detect the faces of an uploaded photo. It takes the place of the photo before it."""
    pixels = decode_picture(str(file), session.limits.max_pixels).pixels
    found = Photo(str(file), pixels, models.get(network)(pixels))
    if session.photo is not None and session.photo.source != found.source:
        session.drop_folder(Path(session.photo.source))
    session.photo = found
    return found


def make_files(session: Session, photo: Photo, characters: list[str] | None, likeness: float) -> PhotoFiles:
    """Write the files that belong to a photo.

    Args:
        session: Whose photo it is.
        photo: The photo and its faces.
        characters: Names of the characters; people take them in turn. None or empty: our robot.
        likeness: How much they look like the people, 0 to 1.

    Older files of this user's photos are deleted, but not those that the page shows until these are complete.
    """
    with session.result_folder("photo") as folder:
        return _write_files(session, photo, characters, likeness, folder)


def _write_files(session: Session, photo: Photo, characters: list[str] | None, likeness: float, folder: Path) -> PhotoFiles:
    stem = Path(photo.source).stem
    overlay, faces = folder / "overlay.jpg", folder / f"{stem}.faces.json"
    write_image(overlay, Drawing(longer_side_px=_SHOWN_SIDE_PX).draw(photo.image, photo.faces))
    atomic_write(faces, faces_json(Path(photo.source).name, photo.image, photo.faces).encode())
    if not len(photo.faces):
        return PhotoFiles(overlay, None, None, None, None, faces)
    scene = folder / f"{stem}.glb"
    view = folder / "view.glb"
    result = animate_faces(photo, session.chosen_rigs(characters), scene, AnimateOptions(likeness=likeness), Hooks())
    picture, shown = Path(result.files[-1]), folder / "characters.jpg"
    write_image(shown, shrink(read_image(picture)))
    write_glb(without_lights(read_glb(scene)), view)
    return PhotoFiles(overlay, shown, view, scene, picture, faces)


def without_lights(scene: Glb) -> Glb:
    """Return a scene without its lights, for a viewer that has its own: lamps in lux make it too bright."""
    nodes = [{**node, "extensions": _without(node.get("extensions", {}))} for node in scene.document["nodes"]]
    return replace(scene, document={**scene.document, "nodes": nodes, "extensions": _without(scene.document.get("extensions", {}))})


def _without(extensions: dict[str, Any]) -> dict[str, Any]:
    """Leave out the extension for lights."""
    return {name: value for name, value in extensions.items() if name != _LIGHTS}


def shrink(image: Image) -> Image:
    """Scale an image (H, W, 3) down to the size that the page shows."""
    return Drawing(boxes_only=True, longer_side_px=_SHOWN_SIDE_PX).draw(image, Faces.empty())


def face_table(faces: Faces) -> list[list[str | int]]:
    """Return the rows of the table of faces, with the columns `HEADERS`; angles are in degrees."""
    return [[row.number, f"{row.score:.2f}", *(f"{angle:+d}" for angle in row.pose_deg), row.expressions] for row in table_rows(faces)]


@dataclass(frozen=True)
class PhotoTab:
    """The tab's connection to the sessions and networks."""

    sessions: Sessions
    models: Models

    def on_upload(self, file: Any, characters: list[str], network: str, likeness: float, request: gr.Request) -> list[Any]:
        """Show a new photo."""
        session = self.sessions.get_for_upload(request.session_hash or "", file["path"])
        with session.lock:
            path = session.take_upload(file["path"], replaces=session.photo is not None)
            try:
                photo = find_faces(session, self.models, path, network)
            except BaseException:
                session.drop_folder(path)
                raise
            if not len(photo.faces):
                gr.Warning(f"{path.name}: {summary(photo.image, photo.faces)}; `mfn studio --min-face` sets the smallest face")
            return [None, *show(session, photo, characters, likeness)]

    def on_choice(self, characters: list[str], network: str, likeness: float, request: gr.Request) -> list[Any]:
        """Show the present photo with other characters, or as another network sees it."""
        session = self.sessions.get(request.session_hash or "")
        with session.lock:
            if session.photo is None:
                return [gr.skip()] * 8
            photo = find_faces(session, self.models, Path(session.photo.source), network)
            return show(session, photo, characters, likeness)

    def build(self) -> gr.Dropdown:
        """Lay out the tab. Returns the list of characters, which the tab Rig makes longer."""
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                file = gr.File(label="Photo", height=150, elem_id="photo-file")
                characters = gr.Dropdown(
                    list(AVATAR_NAMES), value=[DEFAULT_AVATAR], multiselect=True, label="Characters", info="People take them in turn.",
                    elem_id="photo-characters",
                )  # fmt: skip
                likeness = likeness_slider(self.models, elem_id="photo-likeness")
                network = gr.Radio(
                    self.models.names(),
                    value=self.models.default,
                    label="Network",
                    info=NETWORK_INFO,
                    visible=self.models.default not in MODELS,
                )
            with gr.Column(scale=2, min_width=300):
                status = gr.Markdown("Drop a photo: every face becomes a character.", elem_id="photo-status")
                with gr.Row():
                    overlay = gr.Image(label="Faces", interactive=False, min_width=280, elem_id="photo-overlay", buttons=["fullscreen"])
                    drawn = gr.Image(label="Characters", interactive=False, min_width=280, elem_id="photo-drawn", buttons=["fullscreen"])
                with gr.Row(equal_height=True):
                    names = ("3D scene (.glb)", "Picture (.png)", "Faces (.json)")
                    buttons = [gr.DownloadButton(name, interactive=False, min_width=100, size="md") for name in names]
                scene = gr.Model3D(label="3D scene: drag to turn it", interactive=False, height=420, elem_id="photo-scene")
                rows = gr.Dataframe(
                    headers=HEADERS, label="Faces: angles in degrees", interactive=False, wrap=True, column_widths=COLUMN_WIDTHS,
                    elem_id="photo-table",
                )  # fmt: skip
        outputs = [status, overlay, drawn, scene, rows, *buttons]
        choices = [characters, network, likeness]
        settings: dict[str, Any] = {"preprocess": False, "concurrency_id": "photo", "concurrency_limit": 2, "api_visibility": "private"}
        on_drop(file, with_toast(self.sessions, self.on_upload), choices, outputs, **settings)
        gr.on(
            [characters.input, network.input, likeness.release], with_toast(self.sessions, self.on_choice), choices, outputs,
            trigger_mode="always_last", **settings,
        )  # fmt: skip
        return characters


def likeness_slider(models: Models, elem_id: str) -> gr.Slider:
    """Lay out the slider of the likeness. With --weights free it is hidden: the average person comes from research photos."""
    return gr.Slider(0, 1, value=0, step=0.05, label="Likeness", info=LIKENESS_INFO, elem_id=elem_id, visible=not models.free)


def show(session: Session, photo: Photo, characters: list[str], likeness: float) -> list[Any]:
    """Return the values of the tab's outputs for a photo."""
    files = make_files(session, photo, characters, float(likeness))
    line = f"**{Path(photo.source).name}**: {summary(photo.image, photo.faces)}"
    buttons = [
        gr.DownloadButton(value=None if file is None else str(file), interactive=file is not None)
        for file in (files.scene, files.picture, files.faces)
    ]
    shown = [None if file is None else str(file) for file in (files.overlay, files.characters, files.view)]
    return [line, *shown, face_table(photo.faces), *buttons]
