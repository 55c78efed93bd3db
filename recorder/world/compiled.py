"""The home as a MuJoCo model: its lamps, its textures, its batches on the bodies that move them, its cameras."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from firmware_host.errors import ConfigError
from recorder.world.atlas import Atlas
from recorder.world.batches import Batch, Finish
from recorder.world.house import LIVING
from recorder.world.plan import WorldPlan
from recorder.world.scene import Home

# Must be known before mujoco is imported. OSMesa needs no screen and no graphics card, and gives the same
# bytes wherever it runs; whoever has a card may set MUJOCO_GL=egl.
os.environ.setdefault("MUJOCO_GL", "osmesa")
# One thread draws: a picture is too small to be worth more, and sessions are made side by side.
os.environ.setdefault("LP_NUM_THREADS", "0")

MATTE, SHINY = 0.1, 0.6
# MuJoCo's cameras look along -z with y up; ours look along +z with y down.
FLIP = Rotation.from_matrix(np.diag([1.0, -1.0, -1.0]))


def mujoco_or_why_not() -> Any:
    """The mujoco module, or the sentence that says what to install."""
    try:
        import OpenGL

        OpenGL.ERROR_CHECKING = False  # to ask GL after every call takes longer than most calls
        import cv2  # noqa: F401  what looks through the lenses
        import mujoco
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise ConfigError(f"the simulated home needs MuJoCo, OpenCV and a GL library ({error}); {REMEDY}") from error
    if not hasattr(mujoco, "Renderer"):
        raise ConfigError(f"MuJoCo found no GL library to draw with; {REMEDY}")
    return mujoco


REMEDY = "install them with `pip install 'syncctl[sim]'` and `apt-get install libosmesa6`"


def compiled(
    mujoco: Any,
    home: Home,
    plan: WorldPlan,
    bodies: Sequence[str],
    drawn_focal: Mapping[str, float],
    batches: Sequence[Batch],
    atlas: Atlas,
) -> Any:
    """The model; its geoms are named by their batch's number.

    Args:
        mujoco: the module.
        home: whose lamps they are.
        plan: of the session.
        bodies: all that move, the cameras ("camera-NAME") among them.
        drawn_focal: camera -> the focal length it is drawn with, pixels.
        batches: what is drawn.
        atlas: its paints.
    """
    spec = _lit(mujoco, home, plan)
    moving = {name: spec.worldbody.add_body(name=name, mocap=True) for name in bodies}
    house = spec.worldbody.add_body(name="house")  # last: what is hidden behind people and things is not painted
    for name, focal in drawn_focal.items():
        field = 2 * np.arctan(plan.height / 2 / focal)
        moving[f"camera-{name}"].add_camera(name=name, fovy=np.degrees(field), quat=FLIP.as_quat(scalar_first=True))
    for name, picture in atlas.pictures.items():
        kind, (height, width) = mujoco.mjtTexture.mjTEXTURE_2D, picture.shape[:2]
        texture = spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
        texture.data = picture[::-1].tobytes()  # GL's first row is the lowest
    for finish in sorted({batch.finish for batch in batches}):
        _add_finish(mujoco, spec, finish)
    for number, batch in enumerate(batches):
        _add_batch(mujoco, spec, moving.get(batch.body, house), str(number), batch)
    return spec.compile()


def _add_finish(mujoco: Any, spec: Any, finish: Finish) -> None:
    shine = SHINY if finish.glossy else MATTE
    material = spec.add_material(name=finish.name, shininess=shine, specular=shine)
    material.emission, material.reflectance = finish.glow, finish.mirror
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = finish.texture


def _add_batch(mujoco: Any, spec: Any, body: Any, name: str, batch: Batch) -> None:
    geom = body.add_geom(name=name, material=batch.finish.name, contype=0, conaffinity=0)
    if batch.glass is not None:
        geom.type, geom.size = mujoco.mjtGeom.mjGEOM_BOX, batch.glass.size
        geom.pos, geom.quat = batch.glass.pos, batch.glass.turn.as_quat(scalar_first=True)
        return
    mesh = spec.add_mesh(name=name, inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL)
    mesh.uservert, mesh.usernormal = batch.mesh.vertices.ravel(), batch.mesh.normals.ravel()
    mesh.usertexcoord, mesh.userface = batch.mesh.uv.ravel(), batch.mesh.faces.ravel()
    geom.type, geom.meshname = mujoco.mjtGeom.mjGEOM_MESH, name


def _lit(mujoco: Any, home: Home, plan: WorldPlan) -> Any:
    """A model of nothing but light: a lamp in each room, and the day."""
    spec = mujoco.MjSpec()
    spec.visual.global_.offwidth, spec.visual.global_.offheight = plan.width, plan.height
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 0, 0
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
