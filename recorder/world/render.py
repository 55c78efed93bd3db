"""Pictures of the room, drawn by MuJoCo's renderer without a screen.

Nothing is simulated here: every movable body is a "mocap" body whose pose is set for each frame, so that the
picture at a time depends on that time alone. The scene is compiled once per world; one GL context serves all
cameras, since they share a picture size.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from firmware_host.errors import ConfigError
from recorder.world.plan import WorldPlan, rng
from recorder.world.scene import FIELD_OF_VIEW, Home
from recorder.world.shapes import Material, Shape
from recorder.world.texture import STYLES

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


def _add_material(spec: Any, mujoco: Any, key: str, name: str, material: Material) -> None:
    """Paint one texture; its random numbers depend on the place and its own name."""
    image = STYLES[material.style](rng("texture", key, name), material.size, material.base)
    kind = mujoco.mjtTexture.mjTEXTURE_CUBE if material.wrap else mujoco.mjtTexture.mjTEXTURE_2D
    faces = np.concatenate([image] * 6) if material.wrap else image
    texture = spec.add_texture(name=name, type=kind, width=image.shape[1], height=faces.shape[0], nchannel=3)
    texture.data = faces.tobytes()
    entry = spec.add_material(name=name, shininess=material.shine, specular=material.shine)
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


class Renderer:
    """Draws the home with its movable bodies where they are told to be."""

    def __init__(
        self,
        home: Home,
        materials: Mapping[str, Material],
        bodies: Mapping[str, tuple[Shape, ...]],
        plan: WorldPlan,
    ) -> None:
        mujoco = self._mj = _mujoco()
        self._names = list(bodies)
        width, height = plan.width, plan.height
        spec = self._spec(home, plan)
        for name, material in materials.items():
            _add_material(spec, mujoco, plan.place, name, material)
        _add_shapes(spec.worldbody, mujoco, "home", home.shell)
        for name, shapes in bodies.items():
            _add_shapes(spec.worldbody.add_body(name=name, mocap=True), mujoco, name, shapes)
        for name in FIELD_OF_VIEW:
            half = np.tan(np.radians(FIELD_OF_VIEW[name]) / 2) * height / width
            body = spec.worldbody.add_body(name=f"camera-{name}", mocap=True)
            body.add_camera(name=name, fovy=np.degrees(2 * np.arctan(half)), quat=wxyz(FLIP))
            self._names.append(f"camera-{name}")
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._slot = {name: int(self._model.body(name).mocapid[0]) for name in self._names}
        try:
            self._renderer = mujoco.Renderer(self._model, height, width)
        except Exception as error:  # the GL loaders raise whatever they like
            raise ConfigError(f"MuJoCo could not open a GL context ({error}); {_REMEDY}") from error
        self._cheapen_textures()
        # A context that outlives the interpreter's shutdown makes PyOpenGL complain.
        self.close = weakref.finalize(self, self._renderer.close)

    def _spec(self, home: Home, plan: WorldPlan) -> Any:
        mujoco = self._mj
        spec = mujoco.MjSpec()
        spec.visual.global_.offwidth, spec.visual.global_.offheight = plan.width, plan.height
        spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 0, 0
        spec.visual.quality.numslices, spec.visual.quality.numstacks = 16, 10
        spec.visual.map.znear, spec.visual.map.zfar = 0.01, 4.0
        spec.stat.extent, spec.stat.center = 3.0, [0, 0, 1]
        spec.visual.headlight.ambient = [0.46, 0.46, 0.47]
        spec.visual.headlight.diffuse = [0.12, 0.12, 0.12]
        spec.visual.headlight.specular = [0.0, 0.0, 0.0]
        spec.worldbody.add_light(
            pos=home.lamp,
            dir=[0, 0, -1],
            diffuse=[0.70, 0.67, 0.60],
            specular=[0.3] * 3,
            castshadow=False,
            type=mujoco.mjtLightType.mjLIGHT_POINT,
            attenuation=[0.9, 0.05, 0.03],
        )
        spec.worldbody.add_light(
            pos=[-2, -1.5, 2.2],
            dir=[0.6, 0.5, -0.6],
            diffuse=[0.30, 0.31, 0.34],
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

    def _place(self, poses: Mapping[str, Pose], index: int, camera: str) -> None:
        for name in self._names:
            pos, turn = poses[name]
            slot = self._slot[name]
            self._data.mocap_pos[slot] = pos[index]
            self._data.mocap_quat[slot] = turn[index]
        self._mj.mj_kinematics(self._model, self._data)
        self._mj.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, camera)

    def picture(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 picture of moment `index` of the poses."""
        self._place(poses, index, camera)
        return np.asarray(self._renderer.render())

    def bodies(self, poses: Mapping[str, Pose], index: int, camera: str) -> np.ndarray:
        """(H, W) int index into `names` of the movable body seen at each pixel, -1 for the room itself."""
        self._place(poses, index, camera)
        self._renderer.enable_segmentation_rendering()
        geoms = np.asarray(self._renderer.render())[..., 0]
        self._renderer.disable_segmentation_rendering()
        body_of = np.append(self._model.geom_bodyid, 0)[geoms]
        table = np.full(self._model.nbody, -1)
        for index_of, name in enumerate(self._names):
            table[self._model.body(name).id] = index_of
        return table[body_of]

    @property
    def names(self) -> list[str]:
        """The movable bodies."""
        return self._names
