"""Links of the pages lead somewhere, and tables and drawings show what the code and the figures say."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, name_of, prose


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_anchors(page):
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_exist(page):
    named = set(re.findall(r"`((?:avatars|configs|docs|experiments|mfn|retarget|tests)/[\w./-]+)`", prose(page)))
    assert not sorted(path for path in named if not (ROOT / path).exists())


@pytest.mark.parametrize("module", ["tables", "layers"])
def test_generated_parts_are_up_to_date(module):
    pytest.importorskip("grimp", reason="the layers are read by import-linter's grimp: pip install \".[dev]\"")
    command = [sys.executable, "-m", f"experiments.inspect.{module}", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["mfn", "retarget"])
def test_the_api_page_has_every_public_name(package):
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    documented = {name for owner, name in re.findall(r"^::: (\w+)\.(\w+)$", text, re.MULTILINE) if owner == package}
    public = {name for name in importlib.import_module(package).__all__ if not name.startswith("__")}
    assert public == documented


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
