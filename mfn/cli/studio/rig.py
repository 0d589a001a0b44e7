"""The tab Rig: drop a character, see what drives it, and move its 52 shapes by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from mfn.cli.studio.live import FACES
from mfn.cli.studio.sessions import Session, Sessions
from mfn.cli.studio.toast import on_drop, with_toast
from retarget.arkit import ARKIT_NAMES
from retarget.cli.report import describe_rig, list_effects
from retarget.io.images import Image
from retarget.performance.take import Take
from retarget.render.scene import render_scene
from retarget.rig.avatars import AVATAR_NAMES, DEFAULT_AVATAR
from retarget.rig.load import load_rig
from retarget.rig.rig import Rig

GROUPS = ("eye", "brow", "jaw", "mouth", "cheek", "nose", "tongue")
_SIZE_PX, _FOCAL_PX, _DISTANCE_M = (480, 480), 820.0, 0.7
_NO_EFFECT = "no effect"


def group_of(name: str) -> str:
    """Return the part of the face that a coefficient moves."""
    return next(group for group in GROUPS if name.startswith(group))


def add_character(session: Session, file: Path) -> Rig:
    """Load an uploaded character and keep it under its file name, for all tabs.

    Raises:
        ValueError: It is no character that can be used.
    """
    rig = load_rig(file)
    before = session.rigs.get(file.name)
    if before is not None:
        session.drop_folder(Path(before.glb.path))
    session.rigs[file.name] = rig
    return rig


def preview(rig: Rig, weights: list[float], yaw_deg: float = 0.0, pitch_deg: float = 0.0) -> Image:
    """Draw the head of a character.

    Args:
        rig: The character.
        weights: 52 weights in ARKIT_NAMES order, 0 to 1.
        yaw_deg: How far the head turns to its left, degrees.
        pitch_deg: How far it nods down, degrees.
    """
    yaw, pitch = np.radians(yaw_deg) / 2, np.radians(pitch_deg) / 2
    rotation = [
        np.cos(yaw) * np.sin(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(yaw) * np.sin(pitch), np.cos(yaw) * np.cos(pitch)
    ]  # fmt: skip
    values = np.clip(np.array([weights], np.float32), 0, 1)
    take = Take(np.zeros(1), np.zeros(1, np.int32), values, np.array([rotation]), np.array([[0, 0, -_DISTANCE_M]]))
    return render_scene(take, [rig], *_SIZE_PX, _FOCAL_PX)


def effect_rows(rig: Rig) -> list[list[str]]:
    """Return the rows of the table: each of the 52 and what it moves."""
    return [[effect.name, effect.targets or _NO_EFFECT] for effect in list_effects(rig)]


def facts(rig: Rig) -> list[list[str]]:
    """Return what `retarget inspect` says below the 52: joints, facts of the file and what is missing."""
    lines = describe_rig(rig)[len(ARKIT_NAMES) :]
    return [[line[:20].strip(), line[20:].strip()] for line in lines[:-1]] + [["in all", lines[-1]]]


@dataclass(frozen=True)
class RigTab:
    """The tab's connection to the sessions."""

    sessions: Sessions

    def on_upload(self, file: Any, request: gr.Request) -> list[Any]:
        """Show a new character, and offer it on the other tabs."""
        session = self.sessions.get_for_upload(request.session_hash or "", file["path"])
        number = session.next_number()
        with session.lock:
            path = session.take_upload(file["path"], replaces=Path(file["path"]).name in session.rigs)
            try:
                rig = add_character(session, path)
            except BaseException:
                session.drop_folder(path)
                raise
        session.show(number, path.name)
        names, own, shown = session.character_names(), list(session.rigs), self._show(session, rig, number)
        chosen = {"value": path.name} if session.shown.number == number else {}
        return [
            None, gr.Dropdown(choices=names, **chosen), *shown, own, gr.Dropdown(choices=names), gr.Radio(choices=[FACES, *names])
        ]  # fmt: skip

    def on_choice(self, name: str, request: gr.Request) -> list[Any]:
        """Show another character, at rest."""
        session = self.sessions.get(request.session_hash or "")
        number = session.next_number()
        rig = session.rig(name)
        session.show(number, name)
        return self._show(session, rig, number)

    def on_move(self, values: dict[Any, Any], request: gr.Request) -> Any:
        """Draw the character with the weights of the sliders. Returns a file. `values` has the value of each control by the control."""
        by_name = {control.elem_id: value for control, value in values.items()}
        session = self.sessions.get(request.session_hash or "")
        name, choice = str(by_name["rig-name"]), session.shown
        rig = session.rig(name)
        weights = [float(by_name[f"rig-{name}"]) for name in ARKIT_NAMES]
        picture = preview(rig, weights, float(by_name["rig-yaw"]), float(by_name["rig-pitch"]))
        is_shown = session.shown == choice and name == (choice.character or name)
        return session.keep_picture("preview", picture) if is_shown else gr.skip()

    @staticmethod
    def _show(session: Session, rig: Rig, number: int) -> list[Any]:
        """Return the values of the outputs for a character at rest, or nothing new if the user made another choice since."""
        line = f"**{Path(rig.glb.path).name}**: {facts(rig)[-1][1]}"
        picture = preview(rig, [0.0] * len(ARKIT_NAMES))
        shown = [line, picture, effect_rows(rig), facts(rig), *[0.0] * (len(ARKIT_NAMES) + 2)]
        if session.shown.number != number:
            return [gr.skip()] * len(shown)
        shown[1] = session.keep_picture("preview", picture)
        return shown

    def build(self, tab: gr.Tab, own: gr.State, others: list[Any]) -> None:
        """Lay out the tab.

        Args:
            tab: The tab itself; opening it shows our robot.
            own: Takes the names of the user's own characters.
            others: The choices of characters on the tabs Photo and Live.
        """
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                file = gr.File(label="Your own character: a .glb or .vrm file", height=150, elem_id="rig-file")
                name = gr.Dropdown(list(AVATAR_NAMES), label="Character", value=DEFAULT_AVATAR, elem_id="rig-name")
                status = gr.Markdown("Drop a character, or choose one of ours.", elem_id="rig-status")
                picture = gr.Image(label="Preview", interactive=False, elem_id="rig-picture", format="jpeg", buttons=["fullscreen"])
            with gr.Column(scale=2, min_width=300):
                with gr.Row():
                    turns = [
                        gr.Slider(-limit, limit, value=0, step=1, label=label, elem_id=f"rig-{turn}", min_width=140)
                        for turn, limit, label in (("yaw", 60, "turn the head, degrees"), ("pitch", 30, "nod, degrees"))
                    ]
                    rest = gr.Button("All to 0", min_width=110, scale=0)
                sliders = _sliders()
                with gr.Accordion("What moves what (retarget inspect)", open=True):
                    table: dict[str, Any] = {"interactive": False, "wrap": True, "column_widths": ["40%", "60%"]}
                    effects = gr.Dataframe(headers=["shape", "moves"], max_height=420, elem_id="rig-effects", **table)
                    rows = gr.Dataframe(headers=["fact", "of this character"], elem_id="rig-facts", **table)
        moving = [*turns, *sliders]
        outputs = [status, picture, effects, rows, *moving]
        settings: dict[str, Any] = {"preprocess": False, "concurrency_id": "rig", "concurrency_limit": 2, "api_visibility": "private"}
        on_drop(file, with_toast(self.sessions, self.on_upload), [], [name, *outputs, own, *others], **settings)
        name.input(with_toast(self.sessions, self.on_choice), name, outputs, **settings)
        move = with_toast(self.sessions, self.on_move)
        gr.on(
            [slider.release for slider in moving], move, {name, *moving}, picture,
            trigger_mode="always_last", show_progress="hidden", **settings,
        )  # fmt: skip
        tab.select(with_toast(self.sessions, self.on_choice), name, outputs, **settings)
        rest.click(with_toast(self.sessions, self.on_choice), name, outputs, **settings)


def _sliders() -> list[Any]:
    """Lay out a slider for each of the 52, in ARKIT_NAMES order, grouped by the part of the face."""
    made: dict[str, Any] = {}
    for group in GROUPS:
        names = [name for name in ARKIT_NAMES if group_of(name) == group]
        with gr.Accordion(f"{group} ({len(names)})", open=group == "jaw"), gr.Row():
            for name in names:
                made[name] = gr.Slider(0, 1, value=0, step=0.01, label=name, elem_id=f"rig-{name}", elem_classes="shape", min_width=140)
    return [made[name] for name in ARKIT_NAMES]
