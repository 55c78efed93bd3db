import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ingest.targets import GROUPS
from ingest.transforms import augment, clip_seed, colour_matrix, flip, moco_view


@pytest.fixture(autouse=True)
def one_thread():
    """As in a loader's worker; with more, threads cost more than these small pictures."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def item(seed: int = 0, size: int = 24) -> dict:
    random = torch.Generator().manual_seed(seed)
    valid = torch.tensor([True, False, True, True, False])
    gaze = torch.rand(5, 2, generator=random) * valid[:, None]
    return {
        "frames": torch.randint(0, 256, (5, 3, size, size), dtype=torch.uint8, generator=random),
        "gaze": gaze,
        "gaze_valid": valid,
        "move": torch.randint(0, 2, (5, 6), generator=random).float(),
        "move_valid": torch.randint(0, 2, (5, 6), generator=random).bool(),
        "move_deg": torch.rand(5, 6, generator=random) * 30,
        "clip": torch.tensor(seed),
        "session": "s",
        "participant": "p",
    }


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) if isinstance(a[k], torch.Tensor) else a[k] == b[k] for k in a
    )


@given(st.integers(0, 1000))
def test_two_mirrors_give_the_clip_back(seed):
    clip = item(seed)
    back = flip(flip(clip))
    torch.testing.assert_close(back["gaze"], clip["gaze"])
    assert same({**back, "gaze": clip["gaze"]}, clip)


def test_a_mirror_moves_the_gazed_pixel_and_the_sides_together():
    clip = item()
    clip["frames"][:] = 0
    clip["frames"][0, :, 7, 5] = 255
    clip["gaze"][0] = torch.tensor([(5 + 0.5) / 24, (7 + 0.5) / 24])
    mirrored = flip(clip)
    x, y = (mirrored["gaze"][0] * 24 - 0.5).round().int().tolist()
    assert (mirrored["frames"][0, :, y, x] == 255).all()
    left, right = GROUPS.index("larmu"), GROUPS.index("rarmu")
    for name in ("move", "move_valid", "move_deg"):
        assert torch.equal(mirrored[name][:, left], clip[name][:, right])
        assert torch.equal(mirrored[name][:, :2], clip[name][:, :2])
    assert not mirrored["gaze"][~clip["gaze_valid"]].any()


def test_augmentation_is_a_function_of_its_seed_and_leaves_the_item_alone():
    clip = item()
    kept = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in clip.items()}
    first, again, other = augment(clip, 5), augment(clip, 5), augment(clip, 6)
    assert same(first, again)
    assert not torch.equal(first["frames"], other["frames"])
    assert same(clip, kept)
    assert first["query"].shape == first["key"].shape == (3, 24, 24)
    assert first["query"].dtype == first["key"].dtype == torch.uint8
    assert not torch.equal(first["query"], first["key"])


def test_three_clips_in_ten_are_mirrored_whole():
    clip = item()
    clip["frames"] = torch.arange(24, dtype=torch.uint8).expand(5, 3, 24, 24) * 10
    mirrored = []
    for seed in range(200):
        x = augment(clip, seed)["frames"].float().sum(dim=(1, 2))
        rising = x[:, -6:].sum(1) > x[:, :6].sum(1)
        assert rising.all() or not rising.any()
        mirrored.append(not rising.any())
    assert 0.2 < np.mean(mirrored) < 0.4


def test_seeds_differ_in_every_argument():
    seeds = {clip_seed(a, b, c) for a in range(5) for b in range(5) for c in range(200)}
    assert len(seeds) == 5 * 5 * 200
    assert all(0 <= s < 2**63 for s in seeds)


colour = st.tuples(*[st.integers(0, 255)] * 3)


def test_the_neutral_jitter_changes_nothing():
    matrix, shift = colour_matrix(torch.tensor([9.0, 99, 200]), brightness=1, contrast=1, saturation=1, hue=0)
    torch.testing.assert_close(matrix, torch.eye(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(shift, torch.zeros(3), atol=1e-4, rtol=0)


@given(colour, st.floats(0.6, 1.4))
def test_brightness_and_contrast_do_what_they_say(rgb, factor):
    x, mean = torch.tensor(rgb).float(), torch.tensor([100.0, 100, 100])
    matrix, shift = colour_matrix(mean, brightness=factor, contrast=1, saturation=1, hue=0)
    torch.testing.assert_close(matrix @ x + shift, x * factor, atol=1e-2, rtol=1e-4)
    matrix, shift = colour_matrix(mean, brightness=1, contrast=factor, saturation=1, hue=0)
    torch.testing.assert_close(matrix @ x + shift, (x - 100) * factor + 100, atol=1e-2, rtol=1e-4)


@given(colour, st.floats(0.6, 1.4), st.floats(-0.2, 0.2))
def test_saturation_and_hue_keep_the_luminance(rgb, saturation, hue):
    x = torch.tensor(rgb).float()
    matrix, shift = colour_matrix(x, brightness=1, contrast=1, saturation=saturation, hue=hue)
    luma = torch.tensor([0.299, 0.587, 0.114])
    assert float(luma @ (matrix @ x + shift)) == pytest.approx(float(luma @ x), abs=0.05)


def test_a_third_of_a_turn_makes_red_green_or_blue():
    red = torch.tensor([200.0, 20, 20])
    matrix, shift = colour_matrix(red, brightness=1, contrast=1, saturation=1, hue=1 / 3)
    hue, _, _ = colorsys.rgb_to_hsv(*(matrix @ red + shift).clamp(0, 255).tolist())
    assert min(abs(hue - 1 / 3), abs(hue - 2 / 3)) < 0.08


def test_views_show_a_part_of_the_frame():
    ramp = (torch.arange(48).float() / 47 * 255).to(torch.uint8).expand(3, 48, 48)
    spans = []
    for seed in range(60):
        view = moco_view(ramp, torch.Generator().manual_seed(seed))
        assert view.shape == ramp.shape
        row = view[0, 24].float()
        spans.append(float((row.max() - row.min()) / 255))
    assert min(spans) < 0.6
