"""Finding the moving person before a fixed camera."""

import numpy as np
import pytest

from posejax.data import background
from tests.data import moving_figure


def test_a_walking_person_is_boxed_in_every_frame():
    frames, expected = moving_figure.walk(40)
    found = background.background_boxes(lambda: iter(frames))
    assert found.valid.all()
    # Smoothing over five frames costs a pixel or two at the ends of the walk.
    overlap = moving_figure.overlap(found.boxes, expected)
    assert overlap.min() > 0.65
    assert overlap.mean() > 0.8


def test_both_passes_over_the_frames_can_be_watched():
    frames, _ = moving_figure.walk(12)
    seen = []

    def watch(passed):
        seen.append(0)
        for frame in passed:
            seen[-1] += 1
            yield frame

    background.background_boxes(lambda: iter(frames), watch=watch)
    assert seen == [12, 12]


def test_boxes_are_in_pixels_of_the_source_not_of_the_small_frames(monkeypatch):
    monkeypatch.setattr(background, "WORKING_SIDE", 160)
    frames, expected = moving_figure.walk(16, speed=6)
    large = frames.repeat(2, axis=1).repeat(2, axis=2)
    found = background.background_boxes(lambda: iter(large))
    assert moving_figure.overlap(found.boxes, 2 * expected).mean() > 0.7


def _standing(empty=12, count=40):
    """An empty room, then a person who stands still for most of the video."""
    rng = np.random.default_rng(3)
    frames, box = [], None
    for t in range(count):
        image = moving_figure.wall()
        if t >= empty:
            box = moving_figure.draw(image, 80)
        noisy = image + rng.normal(0, 2, image.shape)
        frames.append(np.clip(noisy, 0, 255).astype(np.uint8))
    return frames, box


def test_a_person_who_stands_still_after_coming_is_no_background():
    frames, box = _standing()
    found = background.background_boxes(lambda: iter(frames))
    # The window of the smoothing may begin up to two frames early.
    assert not found.valid[:10].any()
    assert found.valid[12:].all()
    assert moving_figure.overlap(found.boxes[12:], box).min() > 0.8


def test_the_background_model_is_the_empty_wall():
    frames, _ = _standing()
    model, threshold = background.background_model(np.stack(frames))
    error = np.abs(model.astype(int) - moving_figure.wall())
    assert np.percentile(error, 99) < threshold


def test_automatic_exposure_is_no_motion():
    frames, expected = moving_figure.walk(30)
    gain = np.linspace(0.8, 1.1, 30)[:, None, None, None]
    frames = np.clip(frames * gain, 0, 255).astype(np.uint8)
    found = background.background_boxes(lambda: iter(frames))
    assert moving_figure.overlap(found.boxes, expected).mean() > 0.75


def test_a_shadow_is_no_person():
    wall = moving_figure.wall()
    image = wall.copy()
    image[40:100, 50:110] = (0.7 * image[40:100, 50:110]).astype(np.uint8)
    assert not background.foreground(image, wall, threshold=22.0).any()
    image[40:100, 50:110] = (20, 20, 60)
    assert background.foreground(image, wall, threshold=22.0)[50:90, 60:100].all()


def test_an_empty_scene_has_no_person():
    rng = np.random.default_rng(0)
    wall = moving_figure.wall()
    frames = [
        np.clip(wall + rng.normal(0, 3, wall.shape), 0, 255).astype(np.uint8)
        for _ in range(12)
    ]
    with pytest.raises(ValueError, match="no person found in the video") as error:
        background.background_boxes(lambda: iter(frames))
    assert "\n" not in str(error.value)


def test_a_small_animal_is_no_person():
    frames = []
    for t in range(20):
        image = moving_figure.wall()
        image[100:104, 10 + 5 * t : 16 + 5 * t] = 0
        frames.append(image)
    with pytest.raises(ValueError, match="no person found"):
        background.background_boxes(lambda: iter(frames))


def test_two_frames_are_too_few():
    with pytest.raises(ValueError, match=r"2 frame\(s\) are too few"):
        background.background_boxes(lambda: iter([moving_figure.wall()] * 2))


def test_a_long_video_is_sampled_evenly_within_bounded_memory(monkeypatch):
    monkeypatch.setattr(background, "SAMPLED_FRAMES", 10)
    count = 0

    def frames():
        nonlocal count
        for t in range(83):
            count += 1
            yield np.full((6, 8, 3), t, np.uint8)

    samples = background._samples(frames())
    assert count == 83
    assert 5 < len(samples) <= 10
    steps = np.diff(samples[:, 0, 0, 0].astype(int))
    assert (steps == steps[0]).all()
    assert samples[-1, 0, 0, 0] >= 83 - 2 * steps[0]
