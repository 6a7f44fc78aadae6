# SPDX-License-Identifier: Apache-2.0
"""Draw posed avatars with OpenGL: RGBA pictures with the person alone.

Data flow: Avatar + Look → load; Camera + LightRig → set_scene; Pose → draw → (S, S, 4) uint8. Needs an EGL
driver; Mesa's software one (packages libegl1, libegl-mesa0, libgl1-mesa-dri) is enough.
Thread: the one that made the renderer, as an OpenGL context belongs to a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

import moderngl
import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import BackendUnavailable
from engine.training.render.avatar import Avatar, DrawGroup, PosedMesh
from engine.training.render.background import parse_colour
from engine.training.render.ink import draw_ink
from engine.training.render.lights import LightRig
from engine.training.render.looks import Look, dressed
from engine.training.render.occlusion import bake_occlusion
from engine.training.render.pose import Pose
from engine.training.render.shaders import DEPTH_FRAGMENT, DEPTH_VERTEX, FRAGMENTS, VERTEX
from engine.training.render.transforms import direction, head_rotation, orthographic, perspective, translation

__all__ = ["AvatarRenderer", "Camera"]

_SHADOW_HALF_M, _SHADOW_DEPTH_M = 0.36, 0.6
_INK = "#1a1230"
_INK_WIDTH = 1 / 170  # of the picture's side
_DYNAMIC_FLOATS = 7  # position, normal, occlusion
_STATIC_FLOATS = 9  # uv, materials, rest position


@dataclass(frozen=True)
class Camera:
    """Where the picture is taken from, relative to the face.

    frame_m: height of what the frame shows at the face's distance; smaller is closer. raise_m: how far the frame's
    middle lies above the face's. tilt_deg: the camera looks down by this. fov_deg: 18 is a portrait lens.
    """

    frame_m: float = 0.40
    raise_m: float = 0.0
    tilt_deg: float = 0.0
    fov_deg: float = 18.0
    aside_m: float = 0.0


class AvatarRenderer:
    """Draws one avatar at a time into square pictures.

    Args:
        side_px: side of the pictures. supersample: samples per pixel side; 3 gives clean edges. shadow_px: side of the
            shadow map; half of it saves a tenth of the time and is not told apart in pictures of 256 px.
    Raises:
        BackendUnavailable: no OpenGL context can be made.
    State:
        load() → set_scene() → draw() any number of times; close() or leave the `with` block at the end.
    """

    def __init__(self, side_px: int, *, supersample: int = 3, shadow_px: int = 1536) -> None:
        try:
            self._gl: Any = moderngl.create_context(standalone=True, backend="egl")  # type: ignore[arg-type]
        except Exception as error:
            raise BackendUnavailable(
                "No OpenGL context could be made for drawing avatars.",
                hint="On Debian or Ubuntu: apt install libegl1 libegl-mesa0 libgl1-mesa-dri",
                reason=str(error),
            ) from error
        self.side_px, self._fine_px = side_px, side_px * supersample
        size = (self._fine_px, self._fine_px)
        self._colour, self._map = self._gl.texture(size, 4), self._gl.texture(size, 4, dtype="f2")
        self._target = self._gl.framebuffer([self._colour, self._map], self._gl.depth_renderbuffer(size))
        self._shadow = self._gl.depth_texture((shadow_px, shadow_px))
        self._shadow.compare_func = "<="
        self._shadow.repeat_x = self._shadow.repeat_y = False
        self._shadow_target = self._gl.framebuffer(depth_attachment=self._shadow)
        self._depth_program = self._gl.program(vertex_shader=DEPTH_VERTEX, fragment_shader=DEPTH_FRAGMENT)
        self._programs = {
            style: self._gl.program(vertex_shader=VERTEX, fragment_shader=source) for style, source in FRAGMENTS.items()
        }
        self._flat = self._gl.texture((1, 1), 3, bytes([128, 128, 255]))
        self._owned: list[Any] = []
        self._closed = False
        self._look = Look()

    def __enter__(self) -> AvatarRenderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the OpenGL context; safe to call twice."""
        if not self._closed:
            with self._gl:
                self._release()
            self._gl.release()
            self._closed = True

    def load(self, avatar: Avatar, look: Look | None = None) -> None:
        """Upload an avatar in a look; the one before is dropped.

        Cost:
            ≈ 1 s, most of it the ambient occlusion, which is kept in the avatar for the next time.
        """
        with self._gl:  # another renderer may have made its own context the current one
            self._load(avatar, look or Look())

    def _load(self, avatar: Avatar, look: Look) -> None:
        self._release()
        self._avatar, self._look = avatar, look
        self._program = self._programs[self._look.style]
        self._dynamic = self._gl.buffer(reserve=len(avatar.positions) * 4 * _DYNAMIC_FLOATS, dynamic=True)
        fixed = np.concatenate([avatar.uv, avatar.materials, avatar.positions], axis=1).astype(np.float32)
        static = self._gl.buffer(fixed.tobytes())
        triangles = np.concatenate([group.triangles for group in avatar.groups])
        index = self._gl.buffer(triangles.tobytes())
        self._silhouette = self._gl.vertex_array(self._depth_program, [(self._dynamic, "3f 16x", "in_position")], index)
        self._owned += [self._dynamic, static, index, self._silhouette]
        self._parts = [self._part(group, static) for group in dressed(avatar, self._look)]
        if (avatar.occlusion >= 1.0).all():
            bake_occlusion(avatar, self._depth_of)

    def set_scene(self, camera: Camera, lights: LightRig) -> None:
        """Fix the camera and the lights for the pictures to come; `load` must come first."""
        half_deg = np.radians(camera.fov_deg) / 2
        middle = self._avatar.face_centre + np.array([camera.aside_m, camera.raise_m, 0.0])
        turn = head_rotation(pitch_deg=camera.tilt_deg)
        self._eye = middle + turn.T @ np.array([0.0, 0.0, camera.frame_m / 2 / np.tan(half_deg)])
        self._view = perspective(camera.fov_deg, 0.2, 6.0) @ _turned(turn) @ translation(-self._eye)
        self._key_from = direction(lights.key.azimuth_deg, lights.key.elevation_deg)
        uniforms: dict[str, Any] = {"eye": tuple(self._eye), "softness": lights.softness, "shine": self._look.shine}
        for name in ("key", "fill", "rim_left", "rim_right"):
            lamp = getattr(lights, name)
            uniforms[name] = lamp.colour
            uniforms[f"{name}_from"] = tuple(direction(lamp.azimuth_deg, lamp.elevation_deg))
        uniforms |= {"sky": lights.sky, "ground": lights.ground, "bump": 1.0}
        uniforms |= {"shade_skin": (0.62, 0.40, 0.62), "shade_rest": (0.40, 0.36, 0.66)}
        uniforms |= {"colour_map": 0, "normal_map": 1, "shadow_map": 2}
        with self._gl:
            for name, value in uniforms.items():
                if name in self._program:  # a compiler drops what a look does not use
                    self._program[name] = value
            if "view_rotation" in self._program:
                self._write(self._program, "view_rotation", turn)

    def draw(self, pose: Pose) -> NDArray[np.uint8]:
        """Return the avatar in a pose.

        Shapes:
            returns: (side_px, side_px, 4) uint8 RGBA, straight alpha.
        Cost:
            ≈ 1 s at 512 px, supersample 3, on one core with a software driver.
        """
        with self._gl:
            fine, surface = self._draw_fine(pose)
        if surface is not None:
            width_px = max(1, round(self._fine_px * _INK_WIDTH))
            fine = draw_ink(fine, surface, colour=parse_colour(_INK), width_px=width_px)
        return _shrink(fine, self.side_px)

    def _draw_fine(self, pose: Pose) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
        """Return the supersampled picture (F, F, 4) and, for looks with ink, its surface map (F, F, 4)."""
        self._upload(self._avatar.posed(pose))
        centre = self._avatar.face_centre + np.array([0.0, -0.06, 0.0]) + np.asarray(pose.shift_m)
        light = orthographic(self._key_from, centre, _SHADOW_HALF_M, _SHADOW_DEPTH_M)
        self._draw_depth(self._shadow_target, light)
        self._target.use()
        self._target.clear(depth=1.0)
        self._write(self._program, "mvp", self._view)
        self._write(self._program, "light", light)
        self._shadow.use(2)
        for array, colour, bumps, two_sided in self._parts:
            (self._gl.disable if two_sided else self._gl.enable)(moderngl.CULL_FACE)
            colour.use(0)
            bumps.use(1)
            array.render()
        shape = (self._fine_px, self._fine_px, 4)
        fine = np.frombuffer(self._target.read(components=4), np.uint8).reshape(shape)[::-1]
        if self._look.style != "cel":
            return fine, None
        surface = np.frombuffer(self._target.read(components=4, attachment=1, dtype="f2"), np.float16)
        return fine, surface.reshape(shape)[::-1].astype(np.float32)

    def _part(self, group: DrawGroup, static: Any) -> tuple[Any, Any, Any, bool]:
        """Return (vertex array, colour texture, normal texture, two-sided) of one group."""
        index = self._gl.buffer(group.triangles.tobytes())
        wanted = [
            (self._dynamic, ("3f", "3f", "1f"), ("in_position", "in_normal", "in_occlusion")),
            (static, ("2f", "4f", "3f"), ("in_uv", "in_material", "in_rest")),
        ]
        layout = []
        for buffer, formats, names in wanted:  # attributes that a look does not use are skipped over
            used = [n in self._program for n in names]
            spec = " ".join(f if u else f"{int(f[0]) * 4}x" for f, u in zip(formats, used, strict=True))
            layout.append((buffer, spec, *(n for n, u in zip(names, used, strict=True) if u)))
        array = self._gl.vertex_array(self._program, layout, index)
        colour = self._texture(group.colour)
        bumps = self._flat if group.normal_map is None else self._texture(group.normal_map)
        self._owned += [index, array, colour] + ([] if bumps is self._flat else [bumps])
        return array, colour, bumps, group.two_sided

    def _texture(self, picture: NDArray[np.uint8]) -> Any:
        texture = self._gl.texture(picture.shape[1::-1], 3, np.ascontiguousarray(picture).tobytes(), alignment=1)
        texture.build_mipmaps()
        texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        return texture

    def _upload(self, mesh: PosedMesh) -> None:
        values = np.concatenate([mesh.positions, mesh.normals, mesh.occlusion[:, None]], axis=1)
        self._dynamic.write(values.astype(np.float32).tobytes())

    def _draw_depth(self, target: Any, matrix: NDArray[np.float64]) -> None:
        target.use()
        target.clear(depth=1.0)
        self._gl.enable_only(moderngl.DEPTH_TEST)
        self._write(self._depth_program, "mvp", matrix)
        self._silhouette.render()

    def _depth_of(self, mesh: PosedMesh, matrices: list[NDArray[np.float64]], side_px: int) -> NDArray[np.float32]:
        """Return depth pictures (len(matrices), side, side) of one mesh, bottom row first, 0 near … 1 far."""
        texture = self._gl.depth_texture((side_px, side_px))
        target = self._gl.framebuffer(depth_attachment=texture)
        self._upload(mesh)
        pictures = []
        for matrix in matrices:
            self._draw_depth(target, matrix)
            pictures.append(np.frombuffer(texture.read(), np.float32).reshape(side_px, side_px))
        target.release()
        texture.release()
        return np.stack(pictures)

    @staticmethod
    def _write(program: Any, name: str, matrix: NDArray[np.float64]) -> None:
        program[name].write(np.ascontiguousarray(matrix.T, "f4").tobytes())

    def _release(self) -> None:
        for item in self._owned:
            item.release()
        self._owned = []


def _turned(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a rotation (3, 3) as (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return matrix


def _shrink(rgba: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return the picture at a smaller side; colours are weighted by alpha so that edges do not darken."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    weighted = np.concatenate([rgba[..., :3] * alpha, alpha], axis=2)
    small = cv2.resize(weighted, (side_px, side_px), interpolation=cv2.INTER_AREA)
    rgb = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
    return cast("NDArray[np.uint8]", np.rint(np.dstack([np.clip(rgb, 0, 255), small[..., 3] * 255])).astype(np.uint8))
