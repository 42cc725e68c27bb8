"""embedded/cldr: the same phrase in two locales, with slices that training never shows."""

import datetime
import re
from collections import Counter

import pytest

from utils.embedded import cldr

SPLITS = ["train", "validation", "test", *cldr.HELD_OUT]


@pytest.fixture(scope="module")
def german():
    return cldr.pairs("en", "de", size=4000)


@pytest.fixture(scope="module", params=["en-fr", "de-it", "en-ja", "pl-ar"])
def others(request):
    return cldr.pairs(*request.param.split("-"), size=1500)


def test_every_split_is_full_and_has_its_columns(german):
    assert list(german) == SPLITS
    assert [len(german[split]) for split in SPLITS] == [4000, 200, 200, 200, 200, 200]
    assert all(data.column_names == ["source", "target", "kind"] for data in german.values())


def test_no_text_of_either_side_crosses_the_splits(german, others):
    for data in (german, others):
        for side in ("source", "target"):
            where = {}
            for split in SPLITS:
                for text in data[split][side]:
                    assert where.setdefault(cldr.plain(text).casefold(), split) == split, text


def test_a_source_has_one_target(german, others):
    for data in (german, others):
        sources = [text.casefold() for split in SPLITS for text in data[split]["source"]]
        assert len(set(sources)) == len(sources)


def test_german_ordinals_have_a_full_stop(german):
    found = 0
    for data in german.values():
        for source, target in zip(data["source"], data["target"], strict=True):
            if m := re.fullmatch(r"(?:\w+day, )?(?:January|April|May|August|September|November) (\d\d?)(?:, (\d{4}))?", source):
                ending = f" {m[2]}" if m[2] else ""
                assert re.fullmatch(rf"(?:\w+, )?{m[1]}\. (?:Januar|April|Mai|August|September|November){ending}", target), (source, target)
                found += 1
    assert found > 25


def test_a_date_an_interval_and_a_rate_are_written_as_a_german_would():
    moment, locale = datetime.datetime(2024, 5, 3), cldr._locale("de")
    assert cldr._date_in("yMMMEd", moment)(locale) == "Fr., 3. Mai 2024"
    assert cldr._date_in("full", moment)(locale) == "Freitag, 3. Mai 2024"
    assert cldr.plain(cldr._unit_in(5.5, "length-kilometer", "long", "duration-hour")(locale)) == "5,5 Kilometer pro Stunde"


def test_a_unit_that_a_language_lacks_is_refused():
    with pytest.raises(KeyError):
        cldr._unit_in(20, "volume-gallon", "long", "duration-second")(cldr._locale("ar"))


def test_no_name_of_a_unit_or_a_pattern_is_left_in_the_text(german, others):
    for data in (german, others):
        for text in (text for split in SPLITS for side in ("source", "target") for text in data[split][side]):
            assert not any(unit in text for unit in cldr.UNITS) and "{" not in text and "¤" not in text, text


def test_typography_is_plain_and_length_capped(german, others):
    assert cldr.plain("5\u202f%\u00a0\u2013 \u22123\u200e l\u2019an") == "5 % – -3 l'an"
    for data in (german, others):
        for text in (text for split in SPLITS for side in ("source", "target") for text in data[split][side]):
            assert text == cldr.plain(text) and 0 < len(text) <= cldr.LONGEST


def test_years_and_numbers_held_out_are_not_in_training(german):
    seen = {int(n.replace(",", "")) for text in german["train"]["source"] for n in re.findall(r"\d+(?:,\d{3})*", text)}
    years = {n for n in seen if 1900 <= n < 2100}  # no quantity is drawn from these
    assert len(years) > 150 and not any(map(cldr._held_year, years))
    assert len(seen - years) > 1000 and not any(map(cldr._held_number, seen - years))
    for text in german["unseen_years"]["source"]:
        assert any(cldr._held_year(int(year)) for year in re.findall(r"\b(?:19|20)\d\d\b", text)), text
    for text in german["unseen_numbers"]["source"]:
        assert any(cldr._held_number(int(n.replace(",", ""))) for n in re.findall(r"\d+(?:,\d{3})*", text)), text


def test_held_out_combinations_are_of_parts_that_training_has(german):
    seen = {word for text in german["train"]["source"] for word in re.findall(r"[^\W\d]+", text)}
    new = Counter(word for text in german["unseen_combinations"]["source"] for word in re.findall(r"[^\W\d]+", text) if word not in seen)
    assert sum(new.values()) <= 0.01 * sum(len(text.split()) for text in german["unseen_combinations"]["source"]), new
    template = cldr.by_template(german["train"])  # one that knew a held-out form would translate it
    assert cldr.exact(german["unseen_combinations"], template) == 0


def test_names_of_places_and_languages_stand_alone_in_training_only(german):
    assert {"Germany", "Japanese"} <= set(german["train"]["source"])
    assert not {"place", "language"} & {kind for split in SPLITS[1:] for kind in german[split]["kind"]}


def test_the_controls_know_what_they_saw_and_fail_on_new_combinations(german):
    template = cldr.by_template(german["train"])
    assert cldr.exact(german["train"], template) > 0.8
    assert 0.3 < cldr.exact(german["test"], template) < 0.8
    assert cldr.exact(german["unseen_combinations"], template) < 0.05
    assert cldr.exact(german["test"], cldr.word_by_word(german["train"])) < 0.5


def test_another_process_makes_the_same_pairs_and_another_seed_others(two_processes):
    code = "from utils.embedded import cldr; import zlib; print(zlib.crc32(repr([d[:] for d in cldr.pairs(size=600).values()]).encode()))"
    first_told, told_again = two_processes(code)
    assert first_told == told_again
    assert cldr.pairs(size=600, seed=1)["test"][:] != cldr.pairs(size=600)["test"][:]


def test_an_unknown_locale_and_twice_the_same_are_told():
    with pytest.raises(ValueError, match="knows no locale 'xx'"):
        cldr.pairs("en", "xx")
    with pytest.raises(ValueError, match="choose two"):
        cldr.pairs("de", "de")
