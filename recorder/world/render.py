"""Pictures of the room, drawn by MuJoCo's renderer without a screen.

Nothing is simulated here: every movable body is a "mocap" body whose pose is set for each frame, so that the
picture at a time depends on that time alone. The scene is compiled once per world; one GL context serves all
cameras, since they share a picture size. What is drawn comes in batches (`batches`), and only those that a camera can
see (`sight`).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from firmware_host.errors import ConfigError
from recorder.world.atlas import atlas_of
from recorder.world.batches import balls, batches_of
from recorder.world.compiled import REMEDY, compiled, mujoco_or_why_not
from recorder.world.optics import INSTANT, Optics, Shutter
from recorder.world.plan import WorldPlan
from recorder.world.scene import FIELD_OF_VIEW, VIEWS, Home, camera_model
from recorder.world.shapes import Material, Shape
from recorder.world.sight import ANYWHERE, Cone, Mirror, seen_from

# Positions (N, 3) and quaternions (N, 4), scalar first, that turn body vectors into world vectors.
Pose = tuple[np.ndarray, np.ndarray]


def wxyz(turn: Rotation) -> np.ndarray:
    """(..., 4) quaternions with the scalar first."""
    return np.roll(turn.as_quat(), 1, axis=-1)


HIDDEN_GROUP = 5


@dataclass(frozen=True)
class _Views:
    """What a camera meets at N times.

    Attributes:
        pos, turn: (N, M, 3) and (N, M, 4) of the bodies.
        seen: (N, G) bool the batches that it may see.
        mirrors: (N,) bool whether a mirror shows something.
    """

    pos: np.ndarray
    turn: np.ndarray
    seen: np.ndarray
    mirrors: np.ndarray


class Renderer:
    """Draws the home with its movable bodies where they are told to be."""

    _current: weakref.ref[Renderer] | None = None
    """Whose GL context is the current one."""

    def __init__(
        self,
        home: Home,
        materials: Mapping[str, Material],
        bodies: Mapping[str, tuple[Shape, ...]],
        plan: WorldPlan,
    ) -> None:
        """`bodies` that are things or doors are drawn with the room they are in, all others always."""
        mujoco = self._mj = mujoco_or_why_not()
        self._home, self._plan = home, plan
        self._optics = {}
        for name in FIELD_OF_VIEW:
            model = camera_model(plan, name)
            self._optics[name] = Optics(model.lens, (plan.width, plan.height), model.fx)
        self._names = [*bodies, *(f"camera-{name}" for name in FIELD_OF_VIEW)]
        atlas = atlas_of(materials, plan.place)
        self._batches = batches_of(home, bodies, materials, atlas)
        self._balls = balls(self._batches)
        drawn_focal = {name: optics.drawn_focal for name, optics in self._optics.items()}
        self._model = compiled(mujoco, home, plan, self._names, drawn_focal, self._batches, atlas)
        self._data = mujoco.MjData(self._model)
        self._slots = [int(self._model.body(name).mocapid[0]) for name in self._names]
        self._geoms = np.array([self._model.geom(str(k)).id for k in range(len(self._batches))])
        self._tell_bodies(home)
        self._mirrors = [
            Mirror(one.pos, one.turn.apply(np.diag(one.size)[:2]), one.turn.apply([0.0, 0.0, 1.0]))
            for one in (batch.glass for batch in self._batches)
            if one is not None
        ]
        self._option = mujoco.MjvOption()
        try:
            self._renderer = mujoco.Renderer(self._model, plan.height, plan.width)
        except Exception as error:  # the GL loaders raise whatever they like
            raise ConfigError(f"MuJoCo could not open a GL context ({error}); {REMEDY}") from error
        Renderer._current = weakref.ref(self)
        from OpenGL import GL

        self._gl: Any = GL
        self._cheapen_textures()
        for flag in (mujoco.mjtRndFlag.mjRND_SKYBOX, mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_HAZE):
            self._renderer.scene.flags[flag] = 0
        # A context that outlives the interpreter's shutdown makes PyOpenGL complain.
        self.close = weakref.finalize(self, self._renderer.close)

    def _tell_bodies(self, home: Home) -> None:
        """Note which body each geom moves with, which room it stands in, and what its pixels are called."""
        body_of = np.array([self._names.index(batch.body) if batch.body else -1 for batch in self._batches])
        rooms = list(home.house.rooms)
        self._moves = np.flatnonzero(body_of >= 0)
        self._body_of = body_of
        self._still_in = np.array([rooms.index(batch.room) if batch.room else ANYWHERE for batch in self._batches])
        self._roomed = np.array([name in home.things or name in home.cupboards for name in self._names])
        # One more entry for the pixels that show nothing, whose geom is -1.
        self._body_at = np.full(self._model.ngeom + 1, -1)
        self._body_at[self._geoms] = body_of
        self._class_at = np.zeros(self._model.ngeom + 1, np.uint8)
        walkable = np.array([batch.walkable for batch in self._batches])
        self._class_at[self._geoms] = np.where(walkable, 1, np.where(body_of < 0, 0, body_of + 2))

    def _cheapen_textures(self) -> None:
        """Sample one mipmap level, not two: a quarter less time for a picture drawn without a graphics card."""
        gl = self._gl
        for number in range(self._model.ntex):
            gl.glBindTexture(gl.GL_TEXTURE_2D, int(self._renderer._mjr_context.texture[number]))
            gl.glTexParameteri(gl.GL_TEXTURE_2D, gl.GL_TEXTURE_MIN_FILTER, gl.GL_LINEAR_MIPMAP_NEAREST)

    def _views(self, poses: Mapping[str, Pose], camera: str, mirrors: bool) -> _Views:
        """What a camera meets at every moment of the poses."""
        pos = np.stack([poses[name][0] for name in self._names], axis=1)
        turn = np.stack([poses[name][1] for name in self._names], axis=1)
        own = self._names.index(f"camera-{camera}")
        focal = self._optics[camera].drawn_focal
        reach = np.array([self._plan.width, self._plan.height]) / 2 / focal
        corner = float(np.arctan(np.hypot(*reach)))
        matrices = Rotation.from_quat(turn.reshape(-1, 4), scalar_first=True).as_matrix().reshape(*turn.shape[:2], 3, 3)
        cone = Cone(pos[:, own], matrices[:, own, :, 2], corner)
        middles, radii = self._middles(pos, matrices), self._balls[1]
        house = self._home.house
        rooms = np.tile(self._still_in, (len(pos), 1))
        inside = house.rooms_at(pos[:, self._roomed].reshape(-1, 3)).reshape(len(pos), -1)
        room_of = np.full(pos.shape[:2], ANYWHERE)
        room_of[:, self._roomed] = inside
        rooms[:, self._moves] = room_of[:, self._body_of[self._moves]]
        seen = seen_from(cone, middles, radii, rooms, house, focal)
        if not mirrors:
            return _Views(pos, turn, seen, np.zeros(len(pos), bool))
        shown = np.zeros(len(pos), bool)
        for mirror in self._mirrors:
            shows = mirror.shows(cone.at, matrices[:, own], reach)
            seen |= shows[:, None] & mirror.cone(cone.at).meets(middles, radii)
            shown |= shows
        return _Views(pos, turn, seen, shown)

    def _middles(self, pos: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        """(N, G, 3) where the balls round the batches are."""
        local = self._balls[0]
        middles = np.tile(local, (len(pos), 1, 1))
        of = self._body_of[self._moves]
        middles[:, self._moves] = pos[:, of] + np.einsum("ngij,gj->ngi", matrices[:, of], local[self._moves])
        return middles

    def _place(self, views: _Views, index: int, camera: str, chosen: np.ndarray | None = None) -> None:
        """Set the scene of one moment up, of the batches (G,) that are `chosen`; of all where None."""
        seen = views.seen[index] if chosen is None else views.seen[index] & chosen
        self._data.mocap_pos[self._slots] = views.pos[index]
        self._data.mocap_quat[self._slots] = views.turn[index]
        self._mj.mj_kinematics(self._model, self._data)
        self._mj.mj_camlight(self._model, self._data)
        self._model.geom_group[self._geoms] = np.where(seen, 0, HIDDEN_GROUP)
        self._renderer.scene.flags[self._mj.mjtRndFlag.mjRND_REFLECTION] = views.mirrors[index]
        self._renderer.update_scene(self._data, camera, self._option)

    def _drawn(self) -> np.ndarray:
        """(H, W, 4) uint8 the scene as it was set up, RGBA, the lowest row first."""
        self._take_context()
        self._mj.mjr_render(self._renderer._rect, self._renderer.scene, self._renderer._mjr_context)
        picture, gl = np.empty((self._plan.height, self._plan.width, 4), np.uint8), self._gl
        gl.glReadPixels(0, 0, self._plan.width, self._plan.height, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE, picture)
        return picture

    def _depth(self) -> np.ndarray:
        """(H, W) float32 GL's depth of what was drawn, lowest row first, 0 far."""
        depth = np.empty((self._plan.height, self._plan.width), np.float32)
        self._mj.mjr_readPixels(None, depth, self._renderer._rect, self._renderer._mjr_context)
        return depth

    def _take_context(self) -> None:
        """Let GL's commands go to this renderer's context."""
        if Renderer._current is None or Renderer._current() is not self:
            self._renderer._gl_context.make_current()
            Renderer._current = weakref.ref(self)

    def pictures(
        self, poses: Mapping[str, Pose], camera: str, shutter: Shutter = INSTANT, spin: np.ndarray | None = None
    ) -> Iterator[np.ndarray]:
        """The pictures (H, W, 3) uint8 of every moment of the poses.

        Args:
            poses: of every body and camera.
            camera: which.
            shutter: how long it takes a picture.
            spin: (N, 3) how fast it turns meanwhile, rad/s in its own frame; None where it does not.
        """
        views, count = self._views(poses, camera, mirrors=True), len(poses[f"camera-{camera}"][0])
        if camera in VIEWS and not views.mirrors.any():
            yield from self._before_backdrop(views, camera)
            return
        optics = self._optics[camera]
        looks = optics.looks(spin, shutter) if spin is not None else [None] * count
        for index, look in enumerate(looks):
            self._place(views, index, camera)
            yield optics.seen(self._drawn(), look)

    def _before_backdrop(self, views: _Views, camera: str) -> Iterator[np.ndarray]:
        """The pictures of a camera that stands still: what rests is drawn once, and again when any of it moves."""
        backdrop, far, optics = np.zeros(0), np.zeros(0), self._optics[camera]
        moving = np.ones(len(self._names) + 1, bool)
        goes = np.any(views.pos[1:] != views.pos[:-1], axis=2) | np.any(views.turn[1:] != views.turn[:-1], axis=2)
        goes = np.concatenate([goes, goes[-1:]]) if len(goes) else np.zeros(views.pos.shape[:2], bool)
        for index in range(len(views.pos)):
            if not len(backdrop) or (goes[index - 1] & ~moving[:-1]).any():
                moving[:-1] = goes[index] | ~self._roomed  # the last is the house's, which never does
                moving[-1] = False
                self._place(views, index, camera, ~moving[self._body_of])
                backdrop, far = self._drawn(), self._depth()
            self._place(views, index, camera, moving[self._body_of])
            drawn, near = self._drawn(), self._depth() > far
            yield optics.seen(_before(drawn, near, backdrop))

    def _geom_ids(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) int the geom that each pixel shows, -1 for none."""
        self._place(self._views(_moment(poses, index), camera, mirrors=False), 0, camera)
        Renderer._current = weakref.ref(self)  # MuJoCo's own renderer takes the context
        self._renderer.enable_segmentation_rendering()
        geoms = np.asarray(self._renderer.render())[..., 0]
        self._renderer.disable_segmentation_rendering()
        return geoms

    def bodies(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) int index into `names` of the movable body seen at each pixel, -1 for the house itself."""
        return self._bent(self._body_at[self._geom_ids(poses, index, camera)], camera)

    def classes(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) uint8: 0 for what stands still, 1 for a floor, 2 and more for the movable bodies."""
        return self._bent(self._class_at[self._geom_ids(poses, index, camera)], camera)

    def _bent(self, straight: np.ndarray, camera: str) -> np.ndarray:
        optics = self._optics[camera]
        return optics.bend(straight) if optics.bends else straight

    def depth(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) float32 metres along the camera's axis."""
        self._place(self._views(_moment(poses, index), camera, mirrors=False), 0, camera)
        Renderer._current = weakref.ref(self)
        self._renderer.enable_depth_rendering()
        depth = np.array(self._renderer.render())
        self._renderer.disable_depth_rendering()
        return self._bent(depth, camera)

    @property
    def names(self) -> list[str]:
        """The movable bodies."""
        return self._names


def _before(drawn: np.ndarray, near: np.ndarray, backdrop: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 what is drawn where it is near (H, W), and the backdrop elsewhere; pixels in one piece each."""
    return np.where(near, drawn.view(np.uint32)[..., 0], backdrop.view(np.uint32)[..., 0])[..., None].view(np.uint8)


def _moment(poses: Mapping[str, Pose], index: int) -> dict[str, Pose]:
    return {name: (at[index : index + 1], turn[index : index + 1]) for name, (at, turn) in poses.items()}
