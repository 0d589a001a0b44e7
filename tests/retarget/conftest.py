"""Files that several tests read."""

from __future__ import annotations

import pytest

from retarget.gltf.document import write_glb
from tests.helpers.characters import BRUNETTE, make_body, make_face


@pytest.fixture
def face_path(tmp_path):
    path = tmp_path / "face.glb"
    write_glb(make_face(), path)
    return path


@pytest.fixture
def body_path(tmp_path):
    path = tmp_path / "body.glb"
    write_glb(make_body(), path)
    return path


@pytest.fixture
def brunette_path():
    if not BRUNETTE.is_file():
        pytest.skip("../shared/avatars/brunette-t.glb is not here")
    return BRUNETTE
