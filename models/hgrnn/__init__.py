"""HGRNN: a hierarchical graph RNN that says what each person of a frame does, all of it at once.

Biswas, Souri, Gall, "Hierarchical Graph-RNNs for Action Detection of Multiple Activities", ICIP 2019. Below, a
bidirectional GRU over the frames a second apart gives the scene's context;
above it, a graph RNN over the persons of the keyframe passes what each does to the others. The paper leaves out two of
the four equations of the graph's update (`models.hgrnn.graph` restores them) and the hidden size: 256.

    syncctl train hgrnn --data dataset --out run --set hgrnn.stored=NAME --set hgrnn.classes=A

Shapes at the paper's size (B keyframes, L = 2l + 1 = 7 frames, P persons padded, A classes):

    stored I3D features   B x 7 x 1024, B x 7 x P x 1024
    reduced               ... x 256                          one linear layer a stream (RGB, flow)
    scene context         B x 512                            two GRUs, 512 -> 256 each
    persons' states       B x P x 256                        graph RNN over 256 + 512 + 256, twice
    logits                B x P x A

Parameters: scene GRUs 1,182,720; graph RNN 983,808 (984,576 in torch's form); 15,420 for 60 classes; reduction 262,400.

What is left of it, as the paper's tables have it: ``context=0`` the graph alone (l = 0), ``iterations=0`` the scene
alone, where a person's classes are read from its feature beside the context; both 0, the feature alone.

Strange input: a keyframe without persons has no row in the loss and none in the answer; a person whose box is not
usable gets scores but is never kept; 200 persons are a longer row.
"""

from __future__ import annotations

from models.hgrnn.data import completed, open_split, truth
from models.hgrnn.model import PRESETS, Config, Model, focal_loss

__all__ = ["PRESETS", "Config", "Model", "completed", "focal_loss", "open_split", "truth"]
