"""embedded/eyes: four classes that colours and single pixels do not tell apart."""

import time

import numpy as np
import pytest

from utils.embedded import eyes


@pytest.fixture(scope="module")
def pictures():
    return eyes.load()


def balanced(features, labels) -> tuple[float, float]:
    """Accuracy and mean accuracy by class of logistic regression on held-out pictures, with the right strength for so few rows."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, test = eyes.split(labels)
    steps = [StandardScaler(), PCA(48, random_state=0), StandardScaler()]
    guesses = make_pipeline(*steps, LogisticRegression(C=0.03, max_iter=500)).fit(features[train], labels[train]).predict(features[test])
    return accuracy_score(labels[test], guesses), balanced_accuracy_score(labels[test], guesses)


def test_as_many_pictures_of_each_class_as_the_printed_book_has(pictures):
    images, labels = pictures
    assert images.shape == (601, 64, 64, 3) and images.dtype == np.uint8
    assert tuple(np.bincount(labels)) == (300, 100, 101, 100) and len(eyes.CLASSES) == 4
    assert 0 < np.abs(np.diff(labels)).mean()  # shuffled
    assert len(np.unique(images.reshape(601, -1), axis=0)) == 601


def test_the_split_keeps_the_shares_and_shares_no_picture(pictures):
    labels = pictures[1]
    train, test = eyes.split(labels)
    assert not set(train) & set(test) and len(train) + len(test) == 601 and len(test) == 121
    assert np.bincount(labels[test]) / 121 == pytest.approx(np.bincount(labels) / 601, abs=0.01)
    assert (eyes.split(labels, seed=1)[1] != test).any()


def test_neither_the_share_of_a_class_nor_colours_nor_pixels_are_enough(pictures):
    images, labels = pictures
    histogram = np.stack([[np.histogram(one[..., c], 16, (0, 256))[0] for c in range(3)] for one in images]).reshape(601, -1)
    for features in (histogram.astype(float), images.reshape(601, -1) / 255):
        accuracy, mean = balanced(features, labels)
        assert accuracy < 0.62 and mean < 0.45
    assert np.mean(labels == 0) < 0.5


def test_a_cataract_takes_the_sharpness_away(pictures):
    from scipy.ndimage import gaussian_filter, gaussian_laplace

    images, labels = pictures
    centre = images[:, 16:48, 16:48].astype(float).mean(-1)
    sharp = [gaussian_laplace(one, 1.5).std() / gaussian_filter(one, 4).mean() for one in centre]
    clouded = labels == 1
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score(~clouded, sharp) > 0.9


def test_retinopathy_has_spots_and_glaucoma_a_pale_disc():
    from scipy.ndimage import grey_closing, grey_opening

    def spots(image):
        """Small things that are darker or lighter than what is around them."""
        grey = image[12:52, 12:52, 1] / image[12:52, 12:52, 1].mean()
        return (grey_closing(grey, (5, 5)) - grey).std() + (grey - grey_opening(grey, (5, 5))).std()

    def pale(image):
        blue = np.sort(image[..., 2].astype(float).ravel())
        return blue[-40:].mean() / np.median(blue[blue > 20])

    both = {label: [eyes.draw(label, k) for k in range(60)] for label in ("normal", "glaucoma", "retinopathy")}
    assert np.mean([pale(one) for one in both["glaucoma"]]) > 1.02 * np.mean([pale(one) for one in both["normal"]])
    assert np.mean([spots(one) for one in both["retinopathy"]]) > 1.02 * np.mean([spots(one) for one in both["normal"]])


def test_more_pictures_and_larger_ones(pictures):
    more, labels = eyes.load((2, 2, 2, 2), size=96, start=400)
    assert more.shape == (8, 96, 96, 3) and sorted(labels) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (eyes.draw("glaucoma", 5) == eyes.draw(2, 5)).all()


def test_another_process_draws_the_same_eyes_and_another_seed_others(two_processes):
    code = "from utils.embedded import eyes; import zlib; print(zlib.crc32(eyes.load((3, 2, 2, 2))[0].tobytes()))"
    first_told, told_again = two_processes(code)
    assert first_told == told_again
    assert (eyes.draw(0, 0, seed=1) != eyes.draw(0, 0)).any()


def test_a_hundred_eyes_take_less_than_five_seconds():
    start = time.process_time()
    eyes.load((25, 25, 25, 25), start=700)
    assert time.process_time() - start < 5


def test_an_unknown_class_or_size_is_told():
    with pytest.raises(ValueError, match="normal, cataract, glaucoma, retinopathy"):
        eyes.draw("myopia", 0)
    with pytest.raises(ValueError, match="64, 96, 128 pixels wide, not 32"):
        eyes.draw(0, 0, size=32)
