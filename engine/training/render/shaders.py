# SPDX-License-Identifier: Apache-2.0
"""GLSL of the avatar renderer: one vertex stage, three looks, and the depth-only stage of shadows.

Data flow: renderer → moderngl programs. Every look writes colour (sRGB, straight) to output 0 and a map for ink
lines (view normal x, y; distance in metres; material number) to output 1. Lighting is computed in linear light.
"""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["DEPTH_FRAGMENT", "DEPTH_VERTEX", "FRAGMENTS", "VERTEX"]

VERTEX = """#version 330
uniform mat4 mvp, light;
in vec3 in_position, in_normal, in_rest;
in vec2 in_uv;
in vec4 in_material;
in float in_occlusion;
out vec3 position, normal, rest, shadow_at;
out vec2 uv;
out vec4 material;
out float occlusion;
void main() {
  position = in_position; normal = in_normal; rest = in_rest; uv = in_uv;
  material = in_material; occlusion = in_occlusion;
  shadow_at = (light * vec4(in_position, 1.0)).xyz * 0.5 + 0.5;
  gl_Position = mvp * vec4(in_position, 1.0);
}"""

DEPTH_VERTEX = """#version 330
uniform mat4 mvp;
in vec3 in_position;
void main() { gl_Position = mvp * vec4(in_position, 1.0); }"""

DEPTH_FRAGMENT = """#version 330
void main() {}"""

_COMMON = """#version 330
uniform sampler2D colour_map, normal_map;
uniform sampler2DShadow shadow_map;
uniform vec3 eye, key_from, key, fill_from, fill, rim_left_from, rim_left, rim_right_from, rim_right, sky, ground;
uniform float softness, shine, bump;
uniform mat3 view_rotation;
in vec3 position, normal, rest, shadow_at;
in vec2 uv;
in vec4 material;
in float occlusion;
layout(location = 0) out vec4 out_colour;
layout(location = 1) out vec4 out_map;

vec3 to_linear(vec3 c) {
  return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c));
}
vec3 to_srgb(vec3 c) {
  c = max(c, 0.0);
  return mix(c * 12.92, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c));
}
vec3 shoulder(vec3 c) {            // straight up to 0.6, then bending towards 1 without clipping
  vec3 over = max(c - 0.6, 0.0) / 0.4;
  return min(c, 0.6) + 0.4 * (1.0 - exp(-over));
}
float luma(vec3 c) { return dot(c, vec3(0.2126, 0.7152, 0.0722)); }

// Lit share of the key light: sixteen taps on a spiral, as wide as the lamp is
// soft, turned from pixel to pixel so that the shrinking averages more of them.
float key_visibility() {
  float lit = 0.0, radius = softness * 9.0 / 1536.0;
  float start = fract(52.9829 * fract(dot(gl_FragCoord.xy, vec2(0.0671, 0.00584)))) * 6.2832;
  for (int i = 0; i < 16; i++) {
    float r = sqrt((float(i) + 0.5) / 16.0) * radius, a = start + float(i) * 2.39996;
    lit += texture(shadow_map, vec3(shadow_at.xy + r * vec2(cos(a), sin(a)), shadow_at.z - 0.0022 - r * 0.5));
  }
  return lit / 16.0;
}

// The surface frame along the texture axes, from screen derivatives; the normal map bends it.
void surface(out vec3 n, out vec3 along_v, float strength) {
  n = normalize(normal);
  if (!gl_FrontFacing) n = -n;
  vec3 px = dFdx(position), py = dFdy(position);
  vec2 ux = dFdx(uv), uy = dFdy(uv);
  vec3 a = cross(py, n), b = cross(n, px);
  vec3 t = a * ux.x + b * uy.x, v = a * ux.y + b * uy.y;
  float scale = inversesqrt(max(max(dot(t, t), dot(v, v)), 1e-20));
  vec3 m = texture(normal_map, uv).xyz * 2.0 - 1.0;
  along_v = v * scale;
  n = normalize(n * max(m.z, 0.25) + (t * m.x - v * m.y) * scale * strength);
}
void write_map(vec3 n, float number) {
  vec3 seen = view_rotation * normalize(normal);
  out_map = vec4(seen.xy, length(position - eye), number);
}
"""

_NATURAL = (
    _COMMON
    + """
// Lambert with the terminator widened per channel: light that scatters under skin comes out redder.
vec3 soft_diffuse(float cosine, vec3 widen) {
  vec3 raised = (vec3(cosine) + widen) / (1.0 + widen);
  return max(raised, 0.0) * max(raised, 0.0) * mix(vec3(1.0), 1.0 / max(raised, 0.35), 0.75);
}
float schlick(float cosine) { float m = 1.0 - clamp(cosine, 0.0, 1.0); return 0.04 + 0.96 * m * m * m * m * m; }

float lobe(vec3 n, vec3 v, vec3 l, float roughness) {      // GGX distribution, joint visibility approximated
  float facing = dot(n, l);
  if (facing <= 0.0) return 0.0;
  vec3 h = normalize(v + l);
  float a2 = roughness * roughness; a2 *= a2;
  float nh = max(dot(n, h), 0.0), lh = max(dot(l, h), 0.05), d = nh * nh * (a2 - 1.0) + 1.0;
  return facing * a2 / (3.1416 * d * d) * schlick(lh) / max(4.0 * lh * lh * (roughness + 0.5), 0.1);
}
float strand(vec3 along, vec3 v, vec3 l, float power) {    // highlight of a bundle of fibres
  float c = dot(along, normalize(v + l));
  return pow(sqrt(max(1.0 - c * c, 0.0)), power);
}

void main() {
  float skin = material.x, ball = material.y, wet = material.z, hair = material.w;
  float cloth = clamp(1.0 - skin - ball - wet - hair, 0.0, 1.0);
  vec3 n, along, v = normalize(eye - position);
  surface(n, along, bump * (1.0 - ball));
  vec3 base = to_linear(texture(colour_map, uv, -0.7).rgb);
  base *= 1.0 - 0.18 * ball;
  base = mix(base, mix(base, luma(base) * vec3(1.10, 1.0, 0.88), 0.55) * 1.3, wet);  // its teeth are painted greenish
  // Painted hair and brows lie in the skin's own texture; they neither scatter light nor shine like skin.
  float bare = skin * smoothstep(0.006, 0.05, luma(base));
  float open = occlusion * occlusion;
  vec3 glow = vec3(open) + bare * vec3(0.30, 0.06, 0.02) * occlusion * (1.0 - open);

  float lit = key_visibility();
  vec3 lit_rgb = mix(vec3(lit), vec3(sqrt(lit), lit, lit), 0.6 * bare);
  vec3 widen = mix(vec3(0.04), vec3(0.42, 0.16, 0.09), bare);
  vec3 light = key * soft_diffuse(dot(n, key_from), widen) * lit_rgb * mix(glow, vec3(1.0), 0.6);
  light += fill * soft_diffuse(dot(n, fill_from), widen) * mix(glow, vec3(1.0), 0.25);
  light += rim_left * soft_diffuse(dot(n, rim_left_from), widen) * glow;
  light += rim_right * soft_diffuse(dot(n, rim_right_from), widen) * glow;
  vec3 around = mix(ground, sky, n.y * 0.5 + 0.5) + bare * vec3(0.02, 0.0, 0.0);
  light += around * mix(glow, vec3(1.0), 0.06);
  vec3 result = base * light;

  vec3 gloss = vec3(0.0);
  float rough = 0.62 * cloth + 0.47 * skin + 0.12 * ball + 0.30 * wet + 0.5 * hair;
  float strength = 0.30 * cloth + mix(0.35, 0.85, bare) * skin + 2.2 * ball + 0.9 * wet;
  gloss += key * lit * lobe(n, v, key_from, rough) + fill * lobe(n, v, fill_from, rough) * open;
  gloss += 0.16 * bare * key * lit * lobe(n, v, key_from, 0.30);    // the thin oily film
  gloss += (rim_left * lobe(n, v, rim_left_from, rough) + rim_right * lobe(n, v, rim_right_from, rough)) * open * 0.6;
  vec3 mirror = reflect(-v, n);
  gloss += mix(ground, sky, smoothstep(-0.3, 0.6, mirror.y)) * schlick(dot(n, v)) * open * (0.22 + 0.6 * ball);
  result += gloss * strength * shine;
  float fibres = strand(along, v, key_from, 26.0) * lit * max(dot(n, key_from) + 0.35, 0.0);
  float sheen = strand(along, v, rim_left_from, 12.0) * max(dot(n, rim_left_from), 0.0);
  sheen += strand(along, v, rim_right_from, 12.0) * max(dot(n, rim_right_from), 0.0);
  result += hair * open * shine * (base * 0.8 + 0.012) * (key * fibres * 0.55 + (rim_left + rim_right) * sheen * 0.5);
  out_colour = vec4(to_srgb(shoulder(result)), 1.0);
  write_map(n, 0.0);
}"""
)

_CEL = (
    _COMMON
    + """
uniform vec3 shade_skin, shade_rest;
void main() {
  float skin = material.x, ball = material.y, wet = material.z, hair = material.w;
  vec3 n, along, v = normalize(eye - position);
  surface(n, along, bump * 0.25 * (1.0 - ball));
  vec3 base = to_linear(texture(colour_map, uv, 0.6).rgb);
  float lit = key_visibility(), facing = dot(n, key_from);
  float band = smoothstep(0.10, 0.16, facing * smoothstep(0.3, 0.7, lit) + 0.04);
  float deep = smoothstep(0.22, 0.30, occlusion);
  vec3 shade = mix(shade_rest, shade_skin, skin);
  vec3 tone = mix(shade, vec3(1.0), max(band, max(ball, wet * 0.8)));
  tone *= mix(0.55, 1.0, max(deep, ball * 0.8));
  vec3 result = base * tone * 1.25;
  float edge = 1.0 - max(dot(n, v), 0.0);
  float from_behind = max(max(dot(n, rim_left_from), dot(n, rim_right_from)), 0.0);
  result += step(0.52, edge * 0.75 + from_behind * 0.25) * step(0.25, from_behind) * (1.0 - ball) * 0.22 * rim_left;
  vec3 h = normalize(v + key_from);
  float spark = pow(max(dot(n, h), 0.0), 90.0) * ball + pow(max(dot(n, h), 0.0), 26.0) * 0.55 * skin;
  float ring = 1.0 - abs(dot(along, h)) * 3.2;
  spark = max(spark, ring * hair * step(0.2, facing));
  result += smoothstep(0.45, 0.5, spark) * mix(vec3(0.10), vec3(0.55, 0.6, 0.65) * mix(vec3(1.0), base * 3.0, hair),
                                               max(ball, hair)) * band * shine;
  out_colour = vec4(to_srgb(shoulder(result)), 1.0);
  write_map(n, skin > 0.5 ? 0.2 : ball > 0.5 ? 0.4 : wet > 0.5 ? 0.2 : hair > 0.5 ? 0.8 : 1.0);
}"""
)

_MARBLE = (
    _COMMON
    + """
float hash(vec3 p) { return fract(sin(dot(p, vec3(127.1, 311.7, 74.7))) * 43758.5453); }
float noise(vec3 p) {
  vec3 i = floor(p), f = fract(p); f = f * f * (3.0 - 2.0 * f);
  vec2 e = vec2(0.0, 1.0);
  return mix(mix(mix(hash(i), hash(i + e.yxx), f.x), mix(hash(i + e.xyx), hash(i + e.yyx), f.x), f.y),
             mix(mix(hash(i + e.xxy), hash(i + e.yxy), f.x), mix(hash(i + e.xyy), hash(i + e.yyy), f.x), f.y), f.z);
}
float turbulence(vec3 p) {
  return 0.5 * noise(p) + 0.25 * noise(p * 2.03) + 0.125 * noise(p * 4.1) + 0.0625 * noise(p * 8.3);
}
void main() {
  float skin = material.x, ball = material.y, wet = material.z, hair = material.w;
  vec3 n, along, v = normalize(eye - position);
  surface(n, along, bump * (1.0 - ball));
  float detail = luma(to_linear(texture(colour_map, uv, -0.7).rgb));
  float drawn = pow(clamp(detail * 2.4, 0.0, 1.0), 0.4);           // brows, lips and iris stay as faint relief
  float warp = turbulence(rest * 9.0);
  float vein = abs(sin((rest.x * 5.0 + rest.y * 9.0 + rest.z * 4.0) + warp * 9.0));
  float line = smoothstep(0.14, 0.0, vein) * 0.45 + smoothstep(0.6, 0.0, vein) * 0.22;
  vec3 stone = mix(vec3(0.74, 0.70, 0.64), vec3(0.36, 0.37, 0.40), line);
  stone *= 0.94 + 0.12 * noise(rest * 26.0);
  float keep = 0.34 * skin + 0.62 * ball + 0.30 * wet + 0.34 * hair + 0.12;
  vec3 base = stone * mix(1.0, drawn, clamp(keep, 0.0, 1.0));
  float open = occlusion * occlusion, lit = key_visibility();
  float widen = 0.18;
  vec3 light = key * max(dot(n, key_from) + widen, 0.0) / (1.0 + widen);
  light *= mix(lit, sqrt(lit), 0.4) * mix(open, 1.0, 0.4);
  light += fill * max(dot(n, fill_from) + widen, 0.0) / (1.0 + widen) * mix(open, 1.0, 0.2);
  light += (rim_left * max(dot(n, rim_left_from), 0.0) + rim_right * max(dot(n, rim_right_from), 0.0)) * open;
  light += mix(ground, sky, n.y * 0.5 + 0.5) * mix(open, 1.0, 0.08);
  vec3 result = base * light;
  vec3 h = normalize(v + key_from);
  result += key * lit * pow(max(dot(n, h), 0.0), 48.0) * 0.16 * shine;
  result += sky * pow(1.0 - max(dot(n, v), 0.0), 4.0) * 0.20 * open * shine;
  out_colour = vec4(to_srgb(shoulder(result)), 1.0);
  write_map(n, 0.0);
}"""
)

FRAGMENTS = MappingProxyType({"natural": _NATURAL, "cel": _CEL, "marble": _MARBLE})
