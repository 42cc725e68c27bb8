"""embedded/cards: digits and houses on cards of 16 × 16 pixels, their prompts, and the rules that read them back."""

from __future__ import annotations

import numpy as np
import pytest

from utils.embedded import cards, digits


def test_the_ink_of_every_digit_is_whole_and_in_the_middle():
    for split in digits.SPLITS:
        pictures, labels = cards.ink(split)
        assert pictures.shape == (len(digits.pool(split)), 16, 16) and len(labels) == len(pictures)
        assert pictures.min() == 0 and pictures.max() <= 1
        assert not pictures[:, [0, 1, -2, -1]].any()  # moved by one pixel, nothing is lost or comes back on the other side
        assert not pictures[:, :, [0, -1]].any()


def test_a_prompt_says_colour_and_digit_and_the_article_fits():
    assert cards.prompt("red", "three") == "a red three"
    assert cards.prompt("orange", "sks") == "an orange sks"
    assert (cards.prompt(thing="eight"), cards.prompt("blue"), cards.prompt()) == ("an eight", "a blue digit", "a digit")


def test_cards_are_the_same_again_and_show_what_their_prompt_says():
    one, other = cards.coloured("validation", 60), cards.coloured("validation", 60)
    assert np.array_equal(one.images, other.images) and one.prompts == other.prompts
    assert not np.array_equal(one.images, cards.coloured("validation", 60, seed=1).images)
    for colour, digit, prompt in zip(one.colours, one.digits, one.prompts, strict=True):
        assert prompt == cards.prompt(cards.NAMES[colour], cards.WORDS[digit])


def test_some_combinations_are_kept_apart():
    def pairs(drawn):
        return {(cards.NAMES[c], d) for c, d in zip(drawn.colours, drawn.digits.tolist(), strict=True)}

    assert {digit for _, digit in cards.UNSEEN} == set(range(10))
    assert not pairs(cards.coloured("train", 2000)) & set(cards.UNSEEN)
    assert pairs(cards.coloured("train", 300, unseen=True)) == set(cards.UNSEEN)


def test_the_rules_find_colour_and_ink():
    drawn = cards.coloured("test", 200)
    assert (cards.found_colours(drawn.images) == drawn.colours).mean() > 0.99
    ink = cards.found_ink(drawn.images)
    assert ink.shape == (200, 16, 16) and np.allclose(ink.reshape(200, -1).max(1), 1)
    pictures, labels = cards.ink("test")
    flat = [np.corrcoef(a.ravel(), pictures[labels == d].mean(0).ravel())[0, 1] for a, d in zip(ink, drawn.digits, strict=True)]
    assert np.mean(flat) > 0.5


def test_a_plain_card_has_no_ink_to_speak_of():
    assert cards.found_ink(np.full((1, 16, 16, 3), 0.3)).max() == 0


@pytest.mark.parametrize("size", [(12, 7), (16, 16), (20, 20)])
def test_a_glyph_is_placed_where_it_fits(size):
    card = cards.placed(np.ones(size, dtype=np.float32), right=9, down=-9)
    assert card.shape == (16, 16) and card.sum() == min(size[0], 16) * min(size[1], 16)


def test_houses_differ_and_come_again():
    one = cards.houses(6)
    assert np.array_equal(one[:3], cards.houses(3)) and not np.array_equal(one, cards.houses(6, seed=1))
    assert one.shape == (6, 16, 16) and one.max() > 0.9
    between = [np.abs(one[i] - one[j]).mean() for i in range(6) for j in range(i)]
    assert 0.01 < min(between) and max(between) < 0.3
