"""The page: its four tabs, and how it looks."""

from __future__ import annotations

from typing import Any

import gradio as gr

from mfn.cli.studio.clip import ClipTab
from mfn.cli.studio.live import LiveTab
from mfn.cli.studio.models import Models
from mfn.cli.studio.photo import PhotoTab
from mfn.cli.studio.rig import RigTab
from mfn.cli.studio.sessions import Sessions

TITLE = "mfn studio"
INTRODUCTION = "Faces of photos, clips and your webcam drive characters. All is computed on the machine that runs mfn studio."
_FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_FONT_MONO = ["ui-monospace", "Consolas", "monospace"]
STYLE = """
.gradio-container { max-width: 1280px !important; width: 100%; min-width: 0; box-sizing: border-box; margin: 0 auto; }
.person { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 8px; max-width: 180px; }
.person img { width: 100%; border-radius: 6px; display: block; }
.shape .head { display: block; }
@media (max-width: 640px) {
  .gradio-container main { padding: 12px !important; }
  .person { flex: 1 1 130px !important; max-width: 48%; }
}
"""


def build_page(sessions: Sessions, models: Models) -> gr.Blocks:
    """Lay out the page.

    Args:
        sessions: The users and what they hold.
        models: The networks.
    """
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        own = gr.State(list[str]())
        limits = sessions.limits
        gr.Markdown(f"# {TITLE}\n{INTRODUCTION}")
        with gr.Tab("Photo", id="photo"):
            characters = PhotoTab(sessions, models).build()
        with gr.Tab("Clip", id="clip"):
            ClipTab(sessions, models).build(own)
        with gr.Tab("Live", id="live"):
            show = LiveTab(sessions, models).build()
        with gr.Tab("Rig", id="rig") as tab:
            RigTab(sessions).build(tab, own, [characters, show])
        gr.Markdown(
            f"One file may have {limits.max_mb:g} MB, a photo {limits.max_megapixels:g} megapixels, a clip {limits.max_seconds:g} s. "
            "Your files are deleted when you close this page: download what you want to keep."
        )

        def leave(request: gr.Request) -> None:
            sessions.close(request.session_hash or "")

        page.unload(leave)
    return page


def look() -> dict[str, Any]:
    """Return the settings of `launch` for fonts and style. Fonts are those of the system: no other server is asked."""
    return {"theme": gr.themes.Default(primary_hue="teal", neutral_hue="slate", font=_FONT, font_mono=_FONT_MONO), "css": STYLE}
