"""What a CCAU is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

from firmware_host.errors import ConfigError, unknown_name
from models.config import Preset, TrainConfig, require

MODALITIES = ("ego", "third", "audio", "environment", "thermal", "imu", "graph")
TASKS = ("activity", "atomic")
STAGES = ("recognise", "predict")
WEIGHTINGS = ("fixed", "uncertainty")
DISTILLATIONS = ("none", "static", "cooperative")


@dataclass(frozen=True)
class Config:
    """The streams, their encoders, and what the losses weigh.

    Attributes:
        modalities: any of `MODALITIES`; ``graph`` is the oracle scene graph.
        size: pixels of a frame's side.
        blocks, frames: a clip has `blocks` blocks of `frames` frames.
        depth, widths: of the ResNet 2d3d.
        hidden: channels of every context.
        gru_dropout: of the aggregator's state.
        rows, mels: of the sound's picture.
        audio_widths, audio_convolutions: of the VGG's five stages.
        channels: of the environment stream.
        sensor_width: of the small encoders of environment, thermal and IMU.
        objects, relations: classes of the scene graph.
        attention: weigh the cells of a map by what they hold; else their mean is taken.
        activities, atomics: classes.
        tasks: ``activity``, ``atomic`` or both, joined by a slash.
        head_dropout: within the heads.
        atomic_weight: of the atomic loss beside the activity's (lambda of section 4.3).
        focal_gamma, positive_weight: of the atomic loss.
        weighting: ``fixed``, or ``uncertainty`` to learn each task's weight (eq. 4).
        cooperation: weight of the alignment of each pair; 0 trains the modalities side by side.
        projection: size of the space in which a pair is aligned.
        distillation: ``none``; ``static``: what is not among the students is frozen and teaches them;
            ``cooperative``: all teach all.
        students: with ``static``, the modalities that learn.
        label_weight, teacher_weight: of the labels' and of the teachers' share of the activity loss.
        distill_temperature: divides the logits of teachers and students.
        stage: ``recognise``, or ``predict`` to learn from unlabelled clips what comes next.
        predicted: with ``predict``, how many of the blocks are foretold from the others.
        temperature: of that stage's contrastive softmax.
        start: runs whose weights to start from, where names are the same: what was learned without labels, or
            teachers. Full paths, as a run is resumed from anywhere.
        held_out: activities whose clips are not trained on, to be learned later from a few.
    """

    modalities: tuple[str, ...] = ("ego", "third", "audio")
    size: int = 128
    blocks: int = 8
    frames: int = 5
    depth: int = 18
    widths: tuple[int, ...] = (64, 128, 256, 256)
    hidden: int = 256
    gru_dropout: float = 0.1
    rows: int = 344
    mels: int = 128
    audio_widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    audio_convolutions: tuple[int, ...] = (2, 2, 4, 4, 4)
    channels: int = 13
    sensor_width: int = 64
    objects: int = 86
    relations: int = 29
    attention: bool = True
    activities: int = 75
    atomics: int = 448
    tasks: str = "activity/atomic"
    head_dropout: float = 0.75
    atomic_weight: float = 10.0
    focal_gamma: float = 2.0
    positive_weight: float = 10.0
    weighting: str = "fixed"
    cooperation: float = 1.0
    projection: int = 128
    distillation: str = "none"
    students: tuple[str, ...] = ()
    label_weight: float = 1.0
    teacher_weight: float = 0.0
    distill_temperature: float = 2.5
    stage: str = "recognise"
    predicted: int = 3
    temperature: float = 0.07
    start: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        whole = ("size", "blocks", "frames", "hidden", "channels", "sensor_width", "objects", "relations")
        for name in (*whole, "activities", "atomics", "projection", "predicted"):
            require(getattr(self, name) >= 1, f"ccau.{name}", "must be at least 1", getattr(self, name))
        for name, count in (("widths", 4), ("audio_widths", 5), ("audio_convolutions", 5)):
            value = getattr(self, name)
            require(len(value) == count and min(value) >= 1, f"ccau.{name}", f"needs {count} positive numbers", value)
        for name in ("gru_dropout", "head_dropout"):
            require(0 <= getattr(self, name) < 1, f"ccau.{name}", "must be in [0, 1)", getattr(self, name))
        weights = ("atomic_weight", "focal_gamma", "positive_weight", "cooperation", "label_weight", "teacher_weight")
        for name in weights:
            require(getattr(self, name) >= 0, f"ccau.{name}", "must not be negative", getattr(self, name))
        for name in ("distill_temperature", "temperature"):
            require(getattr(self, name) > 0, f"ccau.{name}", "must be positive", getattr(self, name))
        for name, known in (("weighting", WEIGHTINGS), ("distillation", DISTILLATIONS), ("stage", STAGES)):
            if getattr(self, name) not in known:
                raise ConfigError(unknown_name(f"ccau.{name}", getattr(self, name), known))
        self._check_names()

    def _check_names(self) -> None:
        require(bool(self.modalities), "ccau.modalities", "needs at least one", "none")
        for modality in self.modalities:
            if modality not in MODALITIES:
                raise ConfigError(unknown_name("modality of ccau.modalities", modality, MODALITIES))
        for name, given, known in (
            ("modalities", self.modalities, MODALITIES),
            ("students", self.students, self.modalities),
            ("tasks", tuple(self.tasks.split("/")), TASKS),
        ):
            good = len(set(given)) == len(given) and set(given) <= set(known)
            require(good, f"ccau.{name}", f"is any of {', '.join(known)}, each once", "/".join(given))
        if self.distillation == "static" and not 0 < len(self.students) < len(self.modalities):
            raise ConfigError(
                "ccau.distillation=static needs ccau.students: some of ccau.modalities, but not all of them; the "
                "others teach, with the weights of the runs in ccau.start"
            )
        if self.distillation != "none" and not self.teacher_weight:
            raise ConfigError(
                f"ccau.distillation={self.distillation} needs a ccau.teacher_weight above 0, or no teacher is heard; "
                "0.625 beside a ccau.label_weight of 0.9 is a tenth of the squared temperature"
            )
        if self.stage == "predict":
            require(
                self.predicted < self.blocks, "ccau.predicted", f"must be under {self.blocks} blocks", self.predicted
            )

    @property
    def steps(self) -> int:
        """Frames of a clip: T of the batch."""
        return self.blocks * self.frames

    @property
    def view_cells(self) -> int:
        """Cells of a view's map: a 32nd of the pixels of a side, rounded up, squared."""
        return (-(-self.size // 32)) ** 2

    @property
    def learning(self) -> tuple[str, ...]:
        """The modalities that learn: all, or with static distillation the students."""
        return self.students if self.distillation == "static" else self.modalities


def default() -> Preset:
    """Full size as in the authors' code: ego view, third-person view and sound."""
    train = TrainConfig(batch=16, lr=1e-3, weight_decay=1e-5, bf16=True, log_every=10)
    return Preset(Config(), train)


def paper() -> Preset:
    """What the paper prints where the code does otherwise: dropout 0.5 in the heads, 453 atomic actions."""
    start = default()
    return replace(start, net=replace(start.net, head_dropout=0.5, atomics=453))


def pretext() -> Preset:
    """Appendix B: foretell the last three blocks from the first five, without labels."""
    start = default()
    return replace(start, net=replace(start.net, modalities=("ego", "third"), stage="predict"))


def oracle() -> Preset:
    """The annotated scene graph alone: how far perfect perception would go."""
    start = default()
    net = replace(start.net, modalities=("graph",), head_dropout=0.5, cooperation=0.0)
    return replace(start, net=net, train=replace(start.train, batch=64, bf16=False))


def tiny() -> Preset:
    """For two processor cores: 64 pixels and narrow encoders, all streams of a kit."""
    net = Config(
        modalities=("ego", "third", "audio", "environment", "thermal", "imu"),
        size=64,
        widths=(8, 16, 32, 32),
        hidden=64,
        audio_widths=(8, 16, 32, 32, 64),
        audio_convolutions=(1, 1, 1, 1, 1),
        sensor_width=32,
        activities=24,
        atomics=32,
        head_dropout=0.3,
        projection=32,
    )
    train = TrainConfig(
        steps=300,
        batch=16,
        lr=2e-3,
        optimizer="adamw",
        weight_decay=0.01,
        warmup=10,
        clip_norm=5.0,
        keep_mb=1000,
        threads=1,
    )
    return Preset(net, train)


PRESETS = {"default": default, "paper": paper, "pretext": pretext, "oracle": oracle, "tiny": tiny}
