"""Pictures of the room, drawn by MuJoCo's renderer without a screen.

Nothing is simulated here: every movable body is a "mocap" body whose pose is set for each frame, so that the
picture at a time depends on that time alone. The scene is compiled once per world; one GL context serves all
cameras, since they share a picture size.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from firmware_host.errors import ConfigError
from recorder.world.house import DOOR_WIDTH_M, LIVING, Doorway
from recorder.world.plan import WorldPlan, rng
from recorder.world.scene import FIELD_OF_VIEW, Home, camera_model
from recorder.world.shapes import Material, Shape
from recorder.world.texture import STYLES, Colour

# Must be known before mujoco is imported. OSMesa needs no screen and no graphics card, and gives the same
# bytes wherever it runs; whoever has a card may set MUJOCO_GL=egl.
os.environ.setdefault("MUJOCO_GL", "osmesa")

# Positions (N, 3) and quaternions (N, 4), scalar first, that turn body vectors into world vectors.
Pose = tuple[np.ndarray, np.ndarray]
# MuJoCo's cameras look along -z with y up; ours look along +z with y down.
FLIP = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))


def _mujoco() -> Any:
    """The mujoco module, or the sentence that says what to install."""
    try:
        import mujoco
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise ConfigError(f"the simulated home needs MuJoCo and a GL library ({error}); {_REMEDY}") from error
    if not hasattr(mujoco, "Renderer"):
        raise ConfigError(f"MuJoCo found no GL library to draw with; {_REMEDY}")
    return mujoco


_REMEDY = "install them with `pip install 'syncctl[sim]'` and `apt-get install libosmesa6`"


def wxyz(turn: Rotation) -> np.ndarray:
    """(..., 4) quaternions with the scalar first."""
    return np.roll(turn.as_quat(), 1, axis=-1)


@lru_cache(maxsize=128)
def _painted(key: str, name: str, style: str, size: tuple[int, int], base: Colour) -> np.ndarray:
    """A texture; sessions in one place share it, and painting a house takes longer than drawing a second of it."""
    return STYLES[style](rng("texture", key, name), size, base)


def _add_material(spec: Any, mujoco: Any, key: str, name: str, material: Material) -> None:
    """Paint one texture; its random numbers depend on the place and its own name."""
    image = _painted(key, name, material.style, material.size, material.base)
    kind = mujoco.mjtTexture.mjTEXTURE_CUBE if material.wrap else mujoco.mjtTexture.mjTEXTURE_2D
    faces = np.concatenate([image] * 6) if material.wrap else image
    texture = spec.add_texture(name=name, type=kind, width=image.shape[1], height=faces.shape[0], nchannel=3)
    texture.data = faces.tobytes()
    entry = spec.add_material(name=name, shininess=material.shine, specular=material.shine)
    entry.emission, entry.reflectance = material.glow, material.mirror
    if material.per_m[0]:
        entry.texuniform, entry.texrepeat = True, material.per_m
    entry.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _add_shapes(body: Any, mujoco: Any, prefix: str, shapes: Iterable[Shape]) -> None:
    kinds = {
        "box": mujoco.mjtGeom.mjGEOM_BOX,
        "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
        "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
        "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    }
    for number, shape in enumerate(shapes):
        size = np.zeros(3)
        size[: len(shape.size)] = shape.size
        body.add_geom(
            name=f"{prefix}/{number}",
            type=kinds[shape.kind],
            size=size,
            pos=shape.pos,
            quat=wxyz(shape.turn),
            material=shape.material,
            contype=0,
            conaffinity=0,
        )


NOWHERE = -1
"""The room of people's geoms, which may be in two at once. All other geoms are in the room of that number."""
MIRROR_SEEN_M = 2.5
"""From how near a mirror shows anything; its picture costs as much as the rest."""


HIDDEN_GROUP = 5
SMALLEST_PX = 0.5
"""What is smaller in the picture is not drawn; nor is what the view or a doorway leaves out. Each geom costs 60 us."""


def _walked_on(shape: Shape) -> bool:
    return shape.material.endswith(("-floor", "-rug"))


def _opening(door: Doorway, at: np.ndarray) -> tuple[float, float]:
    """The bearing of a doorway's middle from a point, and how far it reaches to either side, radians."""
    ends = [door.ahead(depth, side * DOOR_WIDTH_M / 2) - at[:2] for side in (-1, 1) for depth in (0.0, 0.12)]
    if np.hypot(*(door.at - at[:2])) < DOOR_WIDTH_M:
        return 0.0, np.pi
    middle = float(np.arctan2(*(door.at - at[:2])[::-1]))
    asides = [(np.arctan2(end[1], end[0]) - middle + np.pi) % (2 * np.pi) - np.pi for end in ends]
    return middle, float(np.abs(asides).max())


class Renderer:
    """Draws the home with its movable bodies where they are told to be."""

    def __init__(
        self,
        home: Home,
        materials: Mapping[str, Material],
        bodies: Mapping[str, tuple[Shape, ...]],
        plan: WorldPlan,
    ) -> None:
        """`bodies` that are things or doors are drawn with the room they are in, all others always."""
        mujoco = self._mj = _mujoco()
        self._home = home
        self._names = list(bodies)
        self._roomed = [name for name in bodies if name in home.things or name in home.cupboards]
        self._room_of = np.full(len(self._roomed), NOWHERE)
        width, height = plan.width, plan.height
        spec = self._spec(home, plan)
        for name, material in materials.items():
            _add_material(spec, mujoco, plan.place, name, material)
        for room, shapes in home.shell.items():
            _add_shapes(spec.worldbody, mujoco, room, shapes)
        for name, shapes in bodies.items():
            _add_shapes(spec.worldbody.add_body(name=name, mocap=True), mujoco, name, shapes)
        for name in FIELD_OF_VIEW:
            half = np.tan(np.radians(FIELD_OF_VIEW[name]) / 2) * height / width
            body = spec.worldbody.add_body(name=f"camera-{name}", mocap=True)
            body.add_camera(name=name, fovy=np.degrees(2 * np.arctan(half)), quat=wxyz(FLIP))
            self._names.append(f"camera-{name}")
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._geoms = {name: np.flatnonzero(self._model.geom_bodyid == self._model.body(name).id) for name in bodies}
        self._body_class = np.zeros(self._model.nbody, int)
        for number, name in enumerate(bodies):
            self._body_class[self._model.body(name).id] = number + 2
        floors = [f"{room}/{k}" for room, shapes in home.shell.items() for k, s in enumerate(shapes) if _walked_on(s)]
        self._walkable = np.zeros(self._model.ngeom, bool)
        self._walkable[[self._model.geom(name).id for name in floors]] = True
        self._option = mujoco.MjvOption()
        self._room = np.full(self._model.ngeom, NOWHERE)
        for number, (room, shapes) in enumerate(home.shell.items()):
            self._room[[self._model.geom(f"{room}/{k}").id for k in range(len(shapes))]] = number
        self._smallest = {name: SMALLEST_PX / camera_model(plan, name).fx for name in FIELD_OF_VIEW}
        self._half_angle = {
            name: float(np.arctan(np.hypot(1, height / width) * np.tan(np.radians(field) / 2)))
            for name, field in FIELD_OF_VIEW.items()
        }
        self._slot = {name: int(self._model.body(name).mocapid[0]) for name in self._names}
        try:
            self._renderer = mujoco.Renderer(self._model, height, width)
        except Exception as error:  # the GL loaders raise whatever they like
            raise ConfigError(f"MuJoCo could not open a GL context ({error}); {_REMEDY}") from error
        self._cheapen_textures()
        for flag in (mujoco.mjtRndFlag.mjRND_SKYBOX, mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_HAZE):
            self._renderer.scene.flags[flag] = 0
        # A context that outlives the interpreter's shutdown makes PyOpenGL complain.
        self.close = weakref.finalize(self, self._renderer.close)

    def _spec(self, home: Home, plan: WorldPlan) -> Any:
        mujoco = self._mj
        spec = mujoco.MjSpec()
        spec.visual.global_.offwidth, spec.visual.global_.offheight = plan.width, plan.height
        spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 0, 0
        spec.visual.quality.numslices, spec.visual.quality.numstacks = 14, 8
        spec.visual.quality.numquads = 2  # of a side of a box: light is reckoned at their corners alone
        spec.visual.map.znear, spec.visual.map.zfar = 0.01, 4.0
        spec.stat.extent, spec.stat.center = 3.0, [0, 0, 1]
        day = home.daylight
        spec.visual.headlight.ambient = np.array([0.52, 0.51, 0.49]) + day * np.array([0.06, 0.07, 0.09])
        spec.visual.headlight.diffuse = [0.10, 0.10, 0.10]
        spec.visual.headlight.specular = [0.0, 0.0, 0.0]
        for room, lamp in home.lamps.items():
            spec.worldbody.add_light(
                pos=lamp,
                dir=[0, 0, -1],
                diffuse=np.array([0.85, 0.81, 0.72]) * (1 - 0.3 * day) * (1.0 if room == LIVING else 0.8),
                specular=[0.25] * 3,
                castshadow=False,
                type=mujoco.mjtLightType.mjLIGHT_POINT,
                attenuation=[0.8, 0.08, 0.09],
            )
        spec.worldbody.add_light(
            pos=[-2, -1.5, 2.2],
            dir=[0.6, 0.5, -0.6],
            diffuse=np.array([0.30, 0.32, 0.36]) * (0.45 + 0.55 * day),
            specular=[0.1] * 3,
            castshadow=False,
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        )
        return spec

    def _cheapen_textures(self) -> None:
        """Sample one mipmap level, not two: a quarter less time for a picture drawn without a graphics card."""
        from OpenGL import GL

        wrapped = self._mj.mjtTexture.mjTEXTURE_CUBE.value
        for number, kind in enumerate(self._model.tex_type):
            target = GL.GL_TEXTURE_CUBE_MAP if kind == wrapped else GL.GL_TEXTURE_2D
            GL.glBindTexture(target, int(self._renderer._mjr_context.texture[number]))
            GL.glTexParameteri(target, GL.GL_TEXTURE_MIN_FILTER, GL.GL_LINEAR_MIPMAP_NEAREST)

    def _place(self, poses: Mapping[str, Pose], index: int, camera: str, mirrors: bool = False) -> None:
        for name in self._names:
            pos, turn = poses[name]
            slot = self._slot[name]
            self._data.mocap_pos[slot] = pos[index]
            self._data.mocap_quat[slot] = turn[index]
        self._mj.mj_kinematics(self._model, self._data)
        self._mj.mj_camlight(self._model, self._data)
        self._choose(poses, index, camera, mirrors)
        self._renderer.update_scene(self._data, camera, self._option)

    def _choose(self, poses: Mapping[str, Pose], index: int, camera: str, mirrors: bool) -> None:
        """Draw what can be seen, and a mirror's picture where a mirror is near."""
        house = self._home.house
        at, turn = (part[index] for part in poses[f"camera-{camera}"])
        ahead = Rotation.from_quat(np.roll(turn, -1)).apply([0.0, 0.0, 1.0])
        rooms = house.rooms_at(np.array([poses[name][0][index] for name in self._roomed]))
        for number in np.flatnonzero(rooms != self._room_of):
            self._room[self._geoms[self._roomed[number]]] = rooms[number]
        self._room_of = rooms
        ways = [sights["mirror"] - at for sights in self._home.sights.values() if "mirror" in sights]
        reach = np.cos(self._half_angle[camera] + 0.15)
        near = any(np.linalg.norm(w) < MIRROR_SEEN_M and w @ ahead > reach * np.linalg.norm(w) for w in ways)
        self._renderer.scene.flags[self._mj.mjtRndFlag.mjRND_REFLECTION] = mirrors and near
        seen = np.ones(self._model.ngeom, bool) if mirrors and near else self._in_view(at, ahead, camera)
        self._model.geom_group[:] = np.where(seen, 0, HIDDEN_GROUP)

    def _in_view(self, at: np.ndarray, ahead: np.ndarray, camera: str) -> np.ndarray:
        """(G,) bool: geoms whose sphere is in the camera's cone, large enough, and not behind a wall."""
        house, way, size = self._home.house, self._data.geom_xpos - at, self._model.geom_rbound
        far = np.maximum(np.linalg.norm(way, axis=1), 1e-6)
        wide = np.arcsin(np.minimum(size / far, 1.0))
        angle = np.arccos(np.clip(way @ ahead / far, -1, 1))
        seen = ((angle < self._half_angle[camera] + wide) | (far < size)) & (size / far > self._smallest[camera])
        bearing, own = np.arctan2(way[:, 1], way[:, 0]), house.room_at(at)
        for number, room in enumerate(house.rooms):
            if room != own:
                middle, half = _opening(house.doorway_to(own, room), at)
                aside = np.abs((bearing - middle + np.pi) % (2 * np.pi) - np.pi)
                seen &= (self._room != number) | (aside < half + wide)
        return np.asarray(seen)

    def picture(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 picture of moment `index` of the poses."""
        self._place(poses, index, camera, mirrors=True)
        return np.asarray(self._renderer.render())

    def _geom_ids(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) int the geom that each pixel shows, -1 for none."""
        self._place(poses, index, camera)
        self._renderer.enable_segmentation_rendering()
        geoms = np.asarray(self._renderer.render())[..., 0]
        self._renderer.disable_segmentation_rendering()
        return geoms

    def bodies(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) int index into `names` of the movable body seen at each pixel, -1 for the house itself."""
        body_of = np.append(self._model.geom_bodyid, 0)[self._geom_ids(poses, index, camera)]
        table = np.full(self._model.nbody, -1)
        for index_of, name in enumerate(self._names):
            table[self._model.body(name).id] = index_of
        return table[body_of]

    def classes(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) uint8: 0 for what stands still, 1 for a floor, 2 and more for the movable bodies."""
        geoms = self._geom_ids(poses, index, camera)
        seen = np.append(self._body_class[self._model.geom_bodyid], 0)[geoms]
        return np.where(np.append(self._walkable, False)[geoms], 1, seen).astype(np.uint8)

    def depth(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) float32 metres along the camera's axis."""
        self._place(poses, index, camera)
        self._renderer.enable_depth_rendering()
        depth = np.array(self._renderer.render())
        self._renderer.disable_depth_rendering()
        return depth

    @property
    def names(self) -> list[str]:
        """The movable bodies."""
        return self._names
