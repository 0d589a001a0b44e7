"""Let pages of docs/ link to files elsewhere in the repository, so that one link works on the site and on a code host.

A link such as `../experiments/results/chart.png` points out of docs/. The site gets a copy of these files under `repository/`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
COPIED = (
    "avatars/sheet.png",
    "avatars/README.md",
    "mfn/weights/MODEL_CARD.md",
    "LICENSE",
    *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "experiments/results").rglob("chart_*.png"))),
)


def on_files(files: Files, config: Any) -> Files:
    """Add the copied files to the site."""
    for name in COPIED:
        files.append(File.generated(config, f"repository/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave docs/ at the copies."""
    depth = page.file.src_uri.count("/")
    out = "../" * (depth + 1)
    return re.sub(rf"\]\({re.escape(out)}(?!\.\./)([^)\s]+)\)", lambda m: f"]({'../' * depth}repository/{m[1]})", markdown)
