"""embedded/motion: the direction is in the order of the frames, and nowhere else."""

import time

import numpy as np
import pytest

from utils.embedded import motion


@pytest.fixture(scope="module")
def films():
    return {split: motion.load(split, count) for split, count in (("train", 800), ("test", 400))}


def linear(features, films) -> float:
    """Held-out accuracy of logistic regression on these features of a film."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = {split: features(pictures.astype(np.float32) / 255).reshape(len(pictures), -1) for split, (pictures, _) in films.items()}
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200)).fit(parts["train"], films["train"][1])
    return model.score(parts["test"], films["test"][1])


def small(pictures):
    """Brightness at half the size, without the still photograph: (films, frames, 16, 16)."""
    grey = pictures.mean(-1).reshape(*pictures.shape[:2], 16, 2, 16, 2).mean((3, 5))
    return grey - np.median(grey, axis=1, keepdims=True)


def flow(pictures):
    """How well each frame fits the next one moved by one step in each direction: (films, 4)."""
    moving = small(pictures)
    now, then = moving[:, :-1], moving[:, 1:]
    return np.stack([(np.roll(now, step, axis) * then).mean((1, 2, 3)) for axis in (2, 3) for step in (1, -1)], axis=1)


def test_directions_are_even(films):
    for pictures, labels in films.values():
        assert pictures.shape[1:] == (8, 32, 32, 3) and pictures.dtype == np.uint8
        assert set(np.bincount(labels)) == {len(labels) // 4}


def test_the_digit_moves_as_the_label_says():
    for index in range(40):
        one = motion.film("train", index, frames=12, size=64)
        steps = (np.diff(one.places, axis=0) + 32) % 64 - 32
        assert (steps == one.speed * np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])[one.label]).all() and 4 <= one.speed <= 6
        picture = one.frames.astype(float).mean(-1)
        still = np.median(picture, axis=0)
        for frame, (x, y) in zip(picture[:3], one.places[:3], strict=True):
            bright = np.abs(np.roll(frame - still, (-y, -x), (0, 1)))
            assert bright[:32, :28].mean() > 2 * bright[36:, 32:].mean()


def test_a_single_frame_tells_nothing_and_unordered_frames_no_more_than_the_axis(films):
    shuffle = np.random.default_rng(0)

    def without_order(pictures):
        return flow(np.stack([film[shuffle.permutation(len(film))] for film in pictures]))

    assert linear(lambda pictures: pictures[:, 0], films) < 0.35
    assert linear(lambda pictures: pictures[:, 4], films) < 0.35
    assert linear(lambda pictures: small(pictures).mean(1), films) < 0.6
    assert linear(without_order, films) < 0.6
    assert linear(flow, films) > 0.9


def test_another_process_shows_the_same_films_and_another_seed_others(two_processes):
    code = (
        "from utils.embedded import motion; import zlib; print([zlib.crc32(x.tobytes()) for x in motion.load('test', 4, 16, 64, start=5)])"
    )
    first_told, told_again = two_processes(code)
    assert first_told == told_again
    assert (motion.film("test", 0, seed=1).frames != motion.film("test", 0).frames).any()


def test_a_hundred_films_take_less_than_two_seconds(films):
    start = time.process_time()
    motion.load("train", 100, start=1000)
    assert time.process_time() - start < 2


def test_an_unknown_size_or_length_is_told():
    with pytest.raises(ValueError, match="2 to 16 frames of 32 or 64 pixels; you asked for 8 frames of 48"):
        motion.film("train", 0, size=48)
    with pytest.raises(ValueError, match="choose one of train, validation, test"):
        motion.film("dev", 0)
