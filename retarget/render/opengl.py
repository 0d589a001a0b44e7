"""Draw posed rigs with OpenGL: the pictures of `draw_rig`, much faster, also on a machine without a GPU (Mesa's llvmpipe).

It needs the extra `gl`, and on Linux EGL. Samples, light and layers are those of `draw_rig` and `surface_samples`. The rows
of all buffers run downwards, as in a picture.

Letters: V vertices, H rows, W columns.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import weakref
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retarget.geometry.mesh import vertex_normals
from retarget.geometry.rotations import OPENCV_TO_GLTF
from retarget.gltf.materials import Material
from retarget.render import opengl_shaders as shaders
from retarget.render.draw_rig import (
    MAX_LAYERS,
    MIN_DEPTH_M,
    OPAQUE_COVERAGE,
    draw_rig,
    pixel_step,
    project,
    texture_levels,
    visible_triangles,
)
from retarget.render.surface_samples import ALPHA_KINDS, SAMPLES
from retarget.rig.rig import Rig

Floats = NDArray[np.floating]

_SURFACE_PROGRAMS = (("first", False), ("first", True), ("later", False), ("later", True))
_ROUND_UP_PX = 128  # sizes of buffers are multiples of this, so that they are seldom made again

_local = threading.local()  # a context belongs to its thread


def shared_drawer() -> OpenGlDrawer | None:
    """Return this thread's drawer. None if moderngl is missing, OpenGL does not work, or RETARGET_OPENGL is 0."""
    if os.environ.get("RETARGET_OPENGL") == "0":
        return None
    if not hasattr(_local, "drawer"):
        try:
            _local.drawer = OpenGlDrawer()
        except Exception:  # a driver may fail in any way; the picture is then drawn without it
            _local.drawer = None
    found: OpenGlDrawer | None = _local.drawer
    return found


class _Window(NamedTuple):
    """A part of the picture: its first column and row, its size, and how many pixels one drawn pixel covers on each axis."""

    left: int
    top: int
    width: int
    height: int
    step: int

    @property
    def cells(self) -> tuple[int, int]:
        """Drawn pixels: columns and rows."""
        return -(-self.width // self.step), -(-self.height // self.step)


class _RigBuffers(NamedTuple):
    """What the graphics memory keeps of a rig. `moving` has 6 numbers a vertex; `surfaces` are (material, vertex arrays by kind
    of drawing, see `opengl_shaders.surface_shaders`)."""

    owner: weakref.ref[Rig]
    used: NDArray[np.int64]
    moving: Any
    surfaces: list[tuple[int, dict[str, Any]]]
    textures: dict[tuple[int, int], Any]


class _Targets(NamedTuple):
    """Buffers to draw into, for windows up to `size` (columns, rows). The two layers take turns, to peel what is transparent."""

    size: tuple[int, int]
    layers: tuple[Any, Any]
    sum: Any
    background: Any
    picture: Any


def _front_first(rig: Rig, keep: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.int64]]]:
    """Return the materials and their triangles (T, 3), those nearest to the viewer first: what they hide is then not colored."""
    front = rig.mesh.rest_positions() @ rig.front_rotation[2]
    parts = [(int(number), rig.mesh.triangles[keep & (rig.mesh.material == number)]) for number in np.unique(rig.mesh.material[keep])]
    return sorted(parts, key=lambda part: -float(front[part[1]].max()))


class OpenGlDrawer:
    """Draws characters into pictures. Call it like `draw_rig`. A thread has one at most, because its context stays the current one."""

    def __init__(self) -> None:
        """Open a context.

        Raises:
            ImportError: moderngl is missing.
            Exception: OpenGL does not work here.
        """
        import moderngl

        on_linux: dict[str, Any] = {"backend": "egl"} if sys.platform.startswith("linux") else {}
        self._gl: Any = moderngl.create_context(standalone=True, **on_linux)
        self._thread = threading.get_ident()
        self._gl.gc_mode = "context_gc"  # what Python drops waits for `gc`, which must run in the thread of the context
        self._failure = moderngl.Error
        self._gl.front_face = "cw"  # because rows run downwards
        self._surfaces = {variant: self._gl.program(*shaders.surface_shaders(*variant)) for variant in _SURFACE_PROGRAMS}
        self._add, self._compose = self._full_screen(shaders.ADD_FRAGMENT), self._full_screen(shaders.COMPOSE_FRAGMENT)
        self._rigs: dict[tuple[int, bool], _RigBuffers] = {}
        self._targets: _Targets | None = None
        self._max_side = int(self._gl.info["GL_MAX_TEXTURE_SIZE"])

    def __del__(self) -> None:
        """Release the context with all that it keeps. `_local` drops a drawer at the end of its thread, still in that thread."""
        if getattr(self, "_thread", None) != threading.get_ident() or sys.is_finalizing():
            return
        self._gl.release()
        if sys.platform.startswith("linux"):
            with suppress(OSError):  # EGL keeps a released context until no thread has it as its current one
                ctypes.CDLL("libEGL.so.1").eglReleaseThread()

    def __call__(self, picture: NDArray[np.uint8], rig: Rig, vertices: Floats, focal_px: float, whole_body: bool) -> None:
        """Draw one character into a picture. Arguments are those of `draw_rig`, which draws what OpenGL cannot."""
        try:
            if self._draw(picture, rig, vertices, focal_px, whole_body):
                return
        except self._failure:  # graphics memory is full, for example
            pass
        draw_rig(picture, rig, vertices, focal_px, whole_body)

    def _draw(self, picture: NDArray[np.uint8], rig: Rig, vertices: Floats, focal_px: float, whole_body: bool) -> bool:
        """Draw one character, if it is neither too near nor too large. The picture changes last. Returns whether it was drawn."""
        (height, width), buffers = picture.shape[:2], self._buffers(rig, whole_body)
        depth, glows = -vertices[buffers.used, 2], any(material.emission_mips for material in rig.materials)  # no shader glows
        if not len(depth) or depth.min() <= MIN_DEPTH_M or max(height, width) > self._max_side // SAMPLES or glows:
            return False
        points = project(vertices, focal_px, width, height)
        seen = points[buffers.used, :2].clip(0, (width, height))
        low, high = np.floor(seen.min(axis=0)).astype(int), np.ceil(seen.max(axis=0)).astype(int)
        wide, tall = (high - low).tolist()
        if min(wide, tall) <= 0:
            return True
        window = _Window(int(low[0]), int(low[1]), wide, tall, pixel_step(high - low))
        normals = vertex_normals(vertices, rig.mesh.weld[rig.mesh.triangles])[rig.mesh.weld] @ OPENCV_TO_GLTF
        buffers.moving.write(np.concatenate([vertices, normals], axis=1).astype(np.float32).tobytes())
        self._set_camera(window, (width, height), focal_px, (depth.min() * 0.999, depth.max() * 1.001))
        levels = {}
        if any(material.mips for material in rig.materials):
            points[:, :2] *= SAMPLES / window.step
            levels = texture_levels(rig, points, visible_triangles(rig, points, whole_body))
        targets = self._targets_for(window)
        source = self._draw_layers(buffers, rig.materials, levels, targets, window)
        band = picture[window.top : window.top + window.height, window.left : window.left + window.width]
        band[:] = self._composed(source, targets, window, band)
        return True

    def _full_screen(self, fragment: str) -> Any:
        """Return a vertex array that runs a fragment shader on every pixel."""
        return self._gl.vertex_array(self._gl.program(shaders.FULL_SCREEN_VERTEX, fragment), [])

    def _buffers(self, rig: Rig, whole_body: bool) -> _RigBuffers:
        """Return the buffers of a rig; make them at its first picture, and forget those of rigs that are gone."""
        key = id(rig), whole_body
        found = self._rigs.get(key)
        if found is None or found.owner() is not rig:
            self._rigs = {k: kept for k, kept in self._rigs.items() if kept.owner() is not None}
            self._gl.gc()
            found = self._rigs[key] = self._make_buffers(rig, whole_body)
        return found

    def _make_buffers(self, rig: Rig, whole_body: bool) -> _RigBuffers:
        mesh = rig.mesh
        keep = rig.head_triangles if rig.has_body and not whole_body else np.ones(len(mesh.triangles), bool)
        still = self._gl.buffer(np.concatenate([mesh.uv, mesh.colors], axis=1).astype(np.float32).tobytes())
        moving = self._gl.buffer(reserve=len(mesh.positions) * 6 * 4, dynamic=True)
        moved = (moving, "3f 3f", "in_position", "in_normal")
        content = {False: [(still, "2x4 4f", "in_color"), moved], True: [(still, "2f 4f", "in_uv", "in_color"), moved]}
        surfaces = []
        for number, triangles in _front_first(rig, keep):
            corners = triangles.astype(np.int32)
            order, has_texture = self._gl.buffer(corners.tobytes()), bool(rig.materials[number].mips)
            programs = {kind: self._surfaces[kind, has_texture] for kind in ("first", "later")}
            arrays = {kind: self._gl.vertex_array(program, content[has_texture], order) for kind, program in programs.items()}
            surfaces.append((number, arrays))
        return _RigBuffers(weakref.ref(rig), np.unique(mesh.triangles[keep]), moving, surfaces, {})

    def _set_camera(self, window: _Window, size: tuple[int, int], focal_px: float, depths: tuple[float, float]) -> None:
        """Tell the vertex shader where the window is, and between which depths (m) the character is."""
        columns, rows = window.cells
        for program in self._surfaces.values():
            program["center"] = size[0] / 2 - window.left, size[1] / 2 - window.top
            program["size"] = columns * window.step, rows * window.step
            program["focal"], program["depths"] = focal_px, depths

    def _targets_for(self, window: _Window) -> _Targets:
        """Return buffers that are large enough for a window."""
        wanted = [-(-side // _ROUND_UP_PX) * _ROUND_UP_PX for side in (window.width, window.height)]
        targets = self._targets
        if targets is None or targets.size[0] < wanted[0] or targets.size[1] < wanted[1]:
            had = (0, 0) if targets is None else targets.size
            size = max(wanted[0], had[0]), max(wanted[1], had[1])
            self._targets = targets = None
            self._gl.gc()  # before more memory is taken
            samples = size[0] * SAMPLES, size[1] * SAMPLES
            first, second = (self._gl.framebuffer([self._colors(samples)], self._depth(samples)) for _ in range(2))
            total, picture = self._gl.framebuffer([self._colors(samples)]), self._gl.framebuffer([self._gl.texture(size, 4)])
            targets = self._targets = _Targets(size, (first, second), total, self._gl.texture(size, 3, alignment=1), picture)
        return targets

    def _colors(self, size: tuple[int, int]) -> Any:
        return self._gl.texture(size, 4, dtype="f2")

    def _depth(self, size: tuple[int, int]) -> Any:
        depth = self._gl.depth_texture(size)
        depth.compare_func, depth.filter = "", (self._gl.NEAREST, self._gl.NEAREST)
        return depth

    def _draw_layers(
        self, buffers: _RigBuffers, materials: list[Material], levels: dict[int, int], targets: _Targets, window: _Window
    ) -> Any:
        """Draw surfaces from front to back until nothing is transparent. Returns the texture with the samples."""
        gl, viewport = self._gl, (0, 0, window.cells[0] * SAMPLES, window.cells[1] * SAMPLES)
        is_transparent = any(materials[number].alpha != "OPAQUE" for number, _ in buffers.surfaces)
        if is_transparent:
            targets.sum.clear(viewport=viewport)
        for layer in range(MAX_LAYERS if is_transparent else 1):
            target, before = targets.layers[layer % 2], targets.layers[1 - layer % 2]
            target.clear(viewport=viewport)
            target.use()
            target.viewport = viewport
            gl.enable_only(gl.DEPTH_TEST)
            before.depth_attachment.use(1)
            targets.sum.color_attachments[0].use(2)
            self._draw_surfaces(buffers, materials, levels, "later" if layer else "first")
            if is_transparent:
                targets.sum.use()
                targets.sum.viewport = viewport
                gl.enable_only(gl.BLEND)
                gl.blend_func = gl.ONE_MINUS_DST_ALPHA, gl.ONE
                target.color_attachments[0].use(0)
                self._add.render(vertices=3)
        return (targets.sum if is_transparent else targets.layers[0]).color_attachments[0]

    def _draw_surfaces(self, buffers: _RigBuffers, materials: list[Material], levels: dict[int, int], kind: str) -> None:
        """Color the surfaces of a layer. kind: "first" or "later"."""
        for number, arrays in buffers.surfaces:
            material = materials[number]
            program = self._surfaces[kind, bool(material.mips)]
            if kind == "later":
                program["depth_before"], program["sum_before"], program["opaque_coverage"] = 1, 2, OPAQUE_COVERAGE
            program["base"], program["gloss"] = tuple(material.color.tolist()), material.gloss
            program["emission"] = tuple(np.broadcast_to(material.emission, 3).tolist())
            program["alpha_kind"], program["cutoff"], program["is_lit"] = ALPHA_KINDS[material.alpha], material.cutoff, material.lit
            if material.mips:
                self._texture(buffers, number, material, levels.get(number, 0)).use(0)  # its uniform is 0 from the start
            self._cull(material)
            arrays[kind].render()

    def _cull(self, material: Material) -> None:
        (self._gl.disable if material.two_sided else self._gl.enable)(self._gl.CULL_FACE)

    def _texture(self, buffers: _RigBuffers, number: int, material: Material, level: int) -> Any:
        """Return a mip level of a material as a texture that repeats."""
        level = min(max(level, 0), len(material.mips) - 1)
        found = buffers.textures.get((number, level))
        if found is None:
            image = material.mips[level]
            found = self._gl.texture(image.shape[1::-1], 4, np.ascontiguousarray(image).tobytes(), alignment=1)
            found.filter = self._gl.LINEAR, self._gl.LINEAR
            buffers.textures[number, level] = found
        return found

    def _composed(self, samples: Any, targets: _Targets, window: _Window, band: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay the samples over the background `band` (H, W, 3)."""
        viewport = (0, 0, window.width, window.height)
        targets.background.write(np.ascontiguousarray(band).tobytes(), viewport=viewport, alignment=1)
        targets.picture.use()
        targets.picture.viewport = viewport
        self._gl.enable_only(self._gl.NOTHING)
        samples.use(0)
        targets.background.use(1)
        for name, value in (("samples", 0), ("background", 1), ("pixel_step", window.step)):
            self._compose.program[name] = value
        self._compose.render(vertices=3)
        data = targets.picture.read(viewport=viewport, components=3, alignment=1)
        return np.frombuffer(data, np.uint8).reshape(window.height, window.width, 3)
