"""Shaders of `opengl`. The formulas of light and color are those of `shading` and `surface_samples`; a test compares the pictures."""

from __future__ import annotations

import numpy as np

from retarget.render.shading import LIGHT_DIRECTION

_LAMP = np.array(LIGHT_DIRECTION) / np.linalg.norm(LIGHT_DIRECTION)
_HALF = (_LAMP + (0, 0, -1)) / np.linalg.norm(_LAMP + (0, 0, -1))


def _vec3(values: np.ndarray) -> str:
    return f"vec3({', '.join(f'{value:.9f}' for value in values)})"


_SURFACE_VERTEX = """
uniform vec2 center;  // the camera's axis, in pixels from the upper left corner of the window
uniform vec2 size;    // of the window, in pixels
uniform float focal;
uniform vec2 depths;  // nearest and farthest, in meters
in vec3 in_position;  // glTF's axes: the camera looks along -z
in vec3 in_normal;    // x right, y down, z away
in vec4 in_color;
out vec3 normal;
out vec4 color;
#ifdef HAS_TEXTURE
in vec2 in_uv;
out vec2 uv;
#endif

void main() {
    float depth = -in_position.z;
    vec2 pixel_times_depth = center * depth + focal * vec2(in_position.x, -in_position.y);
    float z = ((depths.y + depths.x) * depth - 2.0 * depths.y * depths.x) / (depths.y - depths.x);
    gl_Position = vec4(2.0 * pixel_times_depth / size - depth, z, depth);
    normal = in_normal;
    color = in_color;
#ifdef HAS_TEXTURE
    uv = in_uv;
#endif
}
"""

_SURFACE_FRAGMENT = f"""
uniform vec4 base;
uniform vec3 emission;
uniform float gloss;
uniform float cutoff;
#ifdef IS_BEHIND
uniform float opaque_coverage;
#endif
uniform bool is_lit;
uniform int alpha_kind;   // 0 opaque, 1 mask, 2 blend
#ifdef HAS_TEXTURE
uniform sampler2D texture_of_surface;
#endif
#ifdef IS_BEHIND
uniform sampler2D depth_before;
uniform sampler2D sum_before;
#endif
in vec3 normal;
in vec4 color;
#ifdef HAS_TEXTURE
in vec2 uv;
#endif
out vec4 result;

vec3 to_linear(vec3 srgb) {{
    return mix(pow((srgb + 0.055) / 1.055, vec3(2.4)), srgb / 12.92, lessThanEqual(srgb, vec3(0.04045)));
}}

void main() {{
#ifdef IS_BEHIND
    ivec2 here = ivec2(gl_FragCoord.xy);
    if (gl_FragCoord.z <= texelFetch(depth_before, here, 0).r + 3e-7 || texelFetch(sum_before, here, 0).a >= opaque_coverage)
        discard;
#endif
    // All samples of a pixel that see one triangle have the color at the first sample: GL computes 2 x 2 of them at once.
    // Not where the triangle does not cover that one: there the surface would be continued beyond its edge.
    vec2 back = vec2(ivec2(gl_FragCoord.xy) & 1);
    float outside = gl_HelperInvocation ? 1.0 : 0.0;
    back *= outside - dFdx(outside) * back.x - dFdy(outside) * back.y > 0.5 ? 0.0 : 1.0;
    vec4 shown = base * (color - dFdx(color) * back.x - dFdy(color) * back.y);
#ifdef HAS_TEXTURE
    vec4 texel = texture(texture_of_surface, uv - dFdx(uv) * back.x - dFdy(uv) * back.y);
    shown *= vec4(to_linear(texel.rgb), texel.a);
#endif
    if (is_lit) {{
        vec3 n = normal - dFdx(normal) * back.x - dFdy(normal) * back.y;
        n /= max(length(n), 1e-6);
        n = gl_FrontFacing ? n : -n;
        n.z = -abs(n.z);
        float lambert = clamp((dot(n, {_vec3(_LAMP)}) + 0.2) / 1.2, 0.0, 1.0);
        float edge = clamp(1.0 - abs(n.z), 0.0, 1.0);
        float rim = 0.4 * edge * edge * edge;
        float shine = 0.5 * gloss * pow(clamp(dot(n, {_vec3(_HALF)}), 0.0, 1.0), 8.0 + 60.0 * gloss);
        shown.rgb = shown.rgb * (0.35 * (0.8 - 0.2 * n.y) + 0.65 * 1.15 * lambert) + (shown.rgb + 0.05) * rim + shine + emission;
    }}
    float coverage = alpha_kind == 0 ? 1.0 : alpha_kind == 1 ? float(shown.a >= cutoff) : clamp(shown.a, 0.0, 1.0);
    result = vec4(shown.rgb * coverage, coverage);
}}
"""


def surface_shaders(kind: str, has_texture: bool) -> tuple[str, str]:
    """Return the vertex and the fragment shader of a surface.

    Args:
        kind: "first" colors the nearest surface; "later" colors what lies behind it, and looks at what is drawn already.
        has_texture: Whether its color comes from a texture too.

    Each variant has only what it needs: a driver without a GPU runs both sides of every `if`.
    """
    defined = {"HAS_TEXTURE": has_texture, "IS_BEHIND": kind == "later"}
    start = "#version 450\n" + "".join(f"#define {name}\n" for name, value in defined.items() if value)
    return start + _SURFACE_VERTEX, start + _SURFACE_FRAGMENT


FULL_SCREEN_VERTEX = """
#version 330
void main() {
    gl_Position = vec4(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0, 0.0, 1.0);
}
"""

ADD_FRAGMENT = """
#version 330
uniform sampler2D layer;
out vec4 result;
void main() {
    result = texelFetch(layer, ivec2(gl_FragCoord.xy), 0);
}
"""

COMPOSE_FRAGMENT = """
#version 330
uniform sampler2D samples;
uniform sampler2D background;
uniform int pixel_step;
out vec4 result;

void main() {
    ivec2 pixel = ivec2(gl_FragCoord.xy);
    ivec2 first = pixel / pixel_step * 2;
    vec4 light = 0.25 * (texelFetch(samples, first, 0) + texelFetch(samples, first + ivec2(1, 0), 0)
                       + texelFetch(samples, first + ivec2(0, 1), 0) + texelFetch(samples, first + ivec2(1, 1), 0));
    vec3 behind = texelFetch(background, pixel, 0).rgb;
    if (light.a == 0.0) {
        result = vec4(behind, 1.0);
        return;
    }
    vec3 mixed = light.rgb;
    if (light.a < 1.0) {
        behind = mix(pow((behind + 0.055) / 1.055, vec3(2.4)), behind / 12.92, lessThanEqual(behind, vec3(0.04045)));
        mixed += behind * (1.0 - light.a);
    }
    mixed = clamp(mixed, 0.0, 1.0);
    mixed = mix(1.055 * pow(mixed, vec3(1.0 / 2.4)) - 0.055, mixed * 12.92, lessThanEqual(mixed, vec3(0.0031308)));
    result = vec4(mixed, 1.0);
}
"""
