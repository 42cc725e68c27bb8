"""embedded/scenes: the boxes, masks, captions and answers of a scene say what its picture shows, and nothing more is given away."""

import re
import time
from collections import Counter

import numpy as np
import pytest

from utils.embedded import digits, scenes, textures


@pytest.fixture(scope="module")
def found():
    return {split: scenes.load(split, 400) for split in scenes.SPLITS}


def test_digits_come_from_other_hands_in_each_split(found):
    pools = [set(digits.pool(split)) for split in digits.SPLITS]
    assert sum(map(len, pools)) == len(set.union(*pools)) == 1797
    for split, pool in zip(scenes.SPLITS, pools, strict=True):
        used = {item.number for one in found[split] for item in one.items}
        assert used <= pool and len(used) > 200
    form = tuple(range(10)) * 2
    for start in (0, 1157, 1415):  # a form begins where a split does
        assert digits.labels()[start : start + 20] == form


def test_every_label_is_in_every_split():
    for split in digits.SPLITS:
        images, labels = digits.load(split)
        assert images.shape == (len(labels), 8, 8) and np.bincount(labels).min() >= 20
        assert all(digits.labels()[number] == label for label in range(10) for number in digits.by_label(split)[label])


def test_backgrounds_of_two_splits_share_no_pixel():
    import skimage.data

    for k, name in enumerate(textures.PICTURES):
        picture = getattr(skimage.data, name)()
        widths = [textures.parts(split)[k].shape[1] for split in digits.SPLITS]
        assert sum(widths) == max(picture.shape[:2]) and min(widths) >= textures.LARGEST


@pytest.mark.parametrize("height", [14, 20, 42])
def test_a_glyph_is_as_high_as_asked_and_cut_to_its_ink(height):
    for number in range(0, 1797, 7):
        solid = digits.glyph(number, height) >= 0.5
        assert solid.shape[0] == height and solid[0].any() and solid[-1].any() and solid[:, 0].any() and solid[:, -1].any()


@pytest.mark.parametrize("size", scenes.SIZES)
def test_boxes_are_tight_around_masks_and_masks_do_not_overlap(size):
    for one in scenes.load("train", 100, size=size):
        assert one.image.shape == (size, size, 3) and one.image.dtype == np.uint8
        assert one.instances.sum(0).max() == 1 and (one.classes > 0).sum() == one.instances.sum()
        for item, mask in zip(one.items, one.instances, strict=True):
            y, x = np.nonzero(mask)
            assert item.box == (x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1) and item.area == mask.sum()
            assert set(one.classes[mask].tolist()) == {1 + item.digit} and digits.labels()[item.number] == item.digit


def test_the_pixels_of_a_mask_have_the_colour_that_is_told(found):
    right = Counter()
    for one in found["test"][:200]:
        for item, mask in zip(one.items, one.instances, strict=True):
            shown = np.median(one.image[mask], axis=0)
            # Lighter and darker paint is the same colour: compare directions.
            likeness = {name: shown @ paint / np.linalg.norm(shown) / np.linalg.norm(paint) for name, paint in scenes.COLOURS.items()}
            right[max(likeness, key=likeness.get) == item.colour] += 1
    assert right[True] / right.total() > 0.97


def test_depth_is_what_the_height_says_and_the_nearer_digit_hides_the_farther(found):
    overlaps = 0
    for one in found["train"]:
        assert len({item.metres for item in one.items}) == len(one.items)
        for item, mask in zip(one.items, one.instances, strict=True):
            assert set(one.depth[mask].tolist()) == {np.float32(item.metres)} and 1 <= item.metres <= 2
            height, whole = round(28 / item.metres), digits.glyph(item.number, round(28 / item.metres)) >= 0.5
            assert item.box[3] <= height and 0.8 * whole.sum() <= item.area <= whole.sum()
            if item.area < whole.sum():
                overlaps += 1
                assert item.metres > min(other.metres for other in one.items)
        assert (one.depth[one.classes == 0] == scenes.WALL).all()
    assert overlaps > 50


def test_captions_name_every_digit_with_its_colour_from_left_to_right(found):
    for one in found["validation"]:
        assert len(set(one.captions)) == 5 and one.caption in one.captions
        centres = [item.box[0] + item.box[2] / 2 for item in one.items]
        assert centres == sorted(centres)
        for caption in one.captions:
            named = re.findall(rf"\ban? ({'|'.join(scenes.COLOURS)}) (\w+)", caption)
            told = [(colour, digits.WORDS.index(d) if d in digits.WORDS else int(d)) for colour, d in named]
            assert told == [(item.colour, item.digit) for item in one.items], caption
            assert not re.search(r"\ba orange|\ban (?!orange)", caption)


def answered(text: str, one: scenes.Scene) -> set[str]:
    """The answers to a question, worked out anew from the scene's boxes, colours and distances."""
    items, centre = one.items, lambda item: item.box[0] + item.box[2] / 2
    colour = next((word for word in re.findall(r"\w+", text) if word in scenes.COLOURS), None)
    of = [item for item in items if item.colour == colour]
    if "How many" in text:
        return {str(len(items))}
    if "olour" in text:
        return {item.colour for item in items if str(item.digit) in text}
    if "nearest" in text or "closest" in text:
        return {str(min(items, key=lambda item: item.metres).digit)}
    if "next on the" in text or "just" in text:
        sign = -1 if "left" in text else 1
        beside = [item for item in items if sign * (centre(item) - centre(of[0])) > 0]
        return {str(min(beside, key=lambda item: abs(centre(item) - centre(of[0]))).digit)} if len(of) == 1 else set()
    if " left of " in text:
        other = next(item for item in items if item.colour == re.findall(r"the (\w+) one", text)[0])
        return {"yes" if centre(of[0]) < centre(other) else "no"}
    if "there" in text or "any" in text:
        return {"yes" if of else "no"}
    return {str(item.digit) for item in of}


def test_answers_follow_from_the_description(found):
    for split in scenes.SPLITS:
        by_index = {one.index: one for one in found[split]}
        asked = scenes.questions(found[split], each=3)
        assert len({question.text for question in asked}) > 80
        for question in asked:
            assert answered(question.text, by_index[question.scene]) == {question.answer}, question
        for one in found[split][:50]:
            for question in one.candidates():
                assert answered(question.text, one) == {question.answer}, question


def test_a_model_that_sees_only_the_question_stays_low(found):
    known = scenes.questions(found["train"], each=3)
    asked = scenes.questions(found["test"], each=3)
    share = scenes.blind(known, asked)
    assert set(share) == {*scenes._ANSWERS, "all"}
    assert share["all"] < 0.32
    assert max(share["exists"], share["beside"]) < 0.62 and share["count"] < 0.36
    assert all(share[kind] < 0.26 for kind in ("colour", "digit", "left", "right", "nearest"))
    kinds = Counter(question.kind for question in asked)
    assert min(kinds.values()) > 0.6 * max(kinds.values())


def test_boxes_for_detr_and_coco(found):
    one = max(found["train"], key=lambda one: len(one.items))
    assert np.allclose(scenes.centred([(16, 32, 32, 16)], 64), [[0.5, 0.625, 0.5, 0.25]]) and scenes.centred([], 64).shape == (0, 4)
    told = scenes.coco(one)["annotations"]
    assert [tuple(a["bbox"]) for a in told] == [item.box for item in one.items] and len(told) == 4
    assert scenes.stack(found["train"][:5]).shape == (5, 64, 64, 3)


def test_crops_show_the_digit_that_they_name():
    images, labels, colours = scenes.crops("train", 300, size=16)
    assert images.shape == (300, 16, 16, 3) and labels.max() == 9 and colours.max() == 7
    paint = np.array(list(scenes.COLOURS.values()))[colours]
    middle = images[:, 3:13, 3:13].reshape(300, -1, 3).astype(float)
    near = np.abs(middle - paint[:, None]).sum(2).min(1)
    assert (near < 120).mean() > 0.95


def test_another_process_draws_the_same_scenes_and_another_seed_others(two_processes):
    code = (
        "from utils.embedded import scenes; import zlib; s = scenes.load('test', 5, start=7, size=96);"
        "print(zlib.crc32(scenes.stack(s).tobytes() + repr(scenes.questions(s)).encode()), [x.caption for x in s])"
    )
    first_told, told_again = two_processes(code)
    assert first_told == told_again
    first = scenes.stack(scenes.load("test", 3))
    assert (scenes.scene("test", 2).image == first[2]).all()
    assert (scenes.stack(scenes.load("test", 3, seed=1)) != first).any() and (scenes.stack(scenes.load("train", 3)) != first).any()


def test_nothing_touches_the_global_random_state():
    before = np.random.get_state()[1].copy()
    scenes.questions(scenes.load("train", 5))
    assert (np.random.get_state()[1] == before).all()


def test_a_hundred_scenes_take_less_than_a_second():
    scenes.load("train", 200)  # digits are enlarged once
    start = time.process_time()
    scenes.load("train", 100, start=200)
    assert time.process_time() - start < 1


def test_an_unknown_split_or_size_is_told():
    with pytest.raises(ValueError, match="choose one of train, validation, test"):
        scenes.load("dev", 1)
    with pytest.raises(ValueError, match="64 or 96 pixels"):
        scenes.load("test", 1, size=32)
