"""embedded/people: sentences with marked names, split so that neither a pattern nor a name can be memorised."""

import re

import pytest

from utils.embedded import people


@pytest.fixture(scope="module")
def data():
    return {language: people.load(language, size=2500) for language in people.LANGUAGES}


def rows(found):
    return [row for split in people.SPLITS for row in found[split]]


def entities(row):
    return [(row["tokens"][start:end], label) for start, end, label in people.spans(row["ner_tags"])]


@pytest.mark.parametrize("language", people.LANGUAGES)
def test_there_are_sixty_patterns_or_more_and_each_is_used(data, language):
    known = people.patterns(language)
    assert len(known) >= 60 and len(set(known)) == len(known)
    assert {row["pattern"] for row in rows(data[language])} == set(range(len(known)))


@pytest.mark.parametrize("language", people.LANGUAGES)
def test_no_pattern_and_no_sentence_is_in_two_splits(data, language):
    for column in ("pattern", "text"):
        where = [set(data[language][split][column]) for split in people.SPLITS]
        assert not (where[0] & where[1] or where[0] & where[2] or where[1] & where[2])
    assert all(len(set(data[language][split]["pattern"])) >= 10 for split in people.SPLITS)


@pytest.mark.parametrize("language", people.LANGUAGES)
def test_no_first_token_of_an_entity_is_known_from_another_split(data, language):
    words = {split: {token.casefold() for row in data[language][split] for token in row["tokens"]} for split in people.SPLITS}
    for split in ("validation", "test"):
        first = {tokens[0].casefold() for row in data[language][split] for tokens, _ in entities(row)}
        assert len(first) > 100
        for other in people.SPLITS:
            assert other == split or not first & words[other], sorted(first & words[other])


def test_no_first_token_of_an_entity_is_known_from_another_language(data):
    first = {split: set() for split in people.SPLITS}
    for split, language in ((split, language) for split in people.SPLITS for language in people.LANGUAGES):
        first[split] |= {tokens[0].casefold() for row in data[language][split] for tokens, _ in entities(row)}
    known, a, b = first.values()
    assert not (known & a or known & b or a & b)


@pytest.mark.parametrize("language", people.LANGUAGES)
def test_tags_are_valid_bio_and_every_label_is_in_every_split(data, language):
    for split in people.SPLITS:
        assert data[language][split].features["ner_tags"].feature.names == list(people.TAGS)
        for row in data[language][split]:
            tags = ["O", *(people.TAGS[tag] for tag in row["ner_tags"])]
            assert len(tags) == len(row["tokens"]) + 1
            assert all(now[0] != "I" or before[2:] == now[2:] for before, now in zip(tags, tags[1:], strict=False)), row["text"]
        assert {label for row in data[language][split] for _, label in entities(row)} == {"PER", "ORG", "LOC"}
        assert any(not any(row["ner_tags"]) for row in data[language][split]), "no sentence without a name"


@pytest.mark.parametrize("language", people.LANGUAGES)
def test_tokens_join_back_to_the_sentence(data, language):
    for row in rows(data[language]):
        joined = ""
        for start, token in zip(row["starts"], row["tokens"], strict=True):
            assert not joined[start:] and start - len(joined) <= 1, row["text"]
            joined = joined.ljust(start) + token
        assert joined == row["text"]


@pytest.mark.parametrize("language", people.LANGUAGES)
def test_nothing_of_the_notation_is_left(data, language):
    for row in rows(data[language]):
        assert not re.search(r"[{}\[\]|~^_]|\.\.|\s\s|\s$", row["text"]), row["text"]


def test_french_elides_before_a_vowel_and_contracts_the_article(data):
    assert people._joined("de", "Alice") == "d'Alice" and people._joined("que", "Éric") == "qu'Éric"
    assert people._joined("de", "Paul") == "de Paul" and people._joined("que", "Marie") == "que Marie"
    assert people._joined("de", "Lycée de Lyon", "le") == "du Lycée de Lyon"
    assert people._joined("à", "Université d'Albi", "l'") == "à l'Université d'Albi"
    elided = 0
    for row in rows(data["fr"]):
        assert not re.search(r"\b(?:de|que|la) [AEIOUÀÂÉÈÊÎÔ]\w|\ba [A-Z]", row["text"]), row["text"]
        assert not re.search(r"\b[dD]e le |\bà le |(?:d|qu)' |\bqu?'[^aeiouAEIOUÀÂÉÈÊÎÔéèœyn]", row["text"]), row["text"]
        elided += bool(re.search(r"\b(?:d|qu)'[A-ZÉ]", row["text"]))
        for tokens, _ in entities(row):
            assert not re.match(r"(?:d|l|qu)'", tokens[0], re.IGNORECASE), row["text"]
    assert elided > 50


def test_italian_prepositions_take_their_article(data):
    assert people._joined("della", "Università di Pisa") == "dell'Università di Pisa" and people._joined("a", "Anna") == "ad Anna"
    for row in rows(data["it"]):
        assert not re.search(r"\b(?:della|alla|dalla) [AEIOU]|\ba A\w", row["text"]), row["text"]


def test_the_german_genitive_follows_the_sound(data):
    found = [row["text"] for row in rows(data["de"]) if "Hilfe hätte" in row["text"]]
    assert len(found) > 10
    for text in found:
        name = re.match(r"Ohne (.+) Hilfe hätte die ", text)[1]
        assert re.search(r"[sßxz]'$", name) or re.search(r"[^sßxz']s$", name), text


@pytest.mark.parametrize("language", people.LANGUAGES)
def test_some_sentences_are_typed_in_small_letters_and_some_in_capitals(data, language):
    named = [row["text"] for row in rows(data[language]) if any(row["ner_tags"])]
    assert sum(text.islower() for text in named) > 20 and sum(text.isupper() for text in named) > 10


def test_companies_look_like_companies():
    for language in people.LANGUAGES:
        for kinds in people._names(language).values():
            groups = [group for kind, groups in kinds.items() if kind.startswith("ORG") for group in groups]
            assert all(re.fullmatch(r"[\w' .,&/-]{2,70}", name) for group in groups for names in group for name in names)


@pytest.mark.parametrize("language", people.LANGUAGES)
def test_neither_capitals_nor_known_names_are_enough(data, language):
    test = data[language]["test"]
    gold, tokens = test["ner_tags"], list(test["tokens"])
    assert people.f1(gold, gold) == 1.0
    assert people.f1(gold, [people.capitalised(row) for row in tokens]) < 0.5
    tagger = people.gazetteer(data[language]["train"])
    assert people.f1(gold, [tagger(row) for row in tokens]) == 0.0
    known = data[language]["train"]
    assert people.f1(known["ner_tags"], [tagger(row) for row in known["tokens"]]) > 0.9


def test_f1_counts_whole_entities():
    per, inside, loc = (people.TAGS.index(tag) for tag in ("B-PER", "I-PER", "B-LOC"))
    assert people.spans([per, inside, loc, 0, inside]) == {(0, 2, "PER"), (2, 3, "LOC"), (4, 5, "PER")}
    assert people.f1([[per, inside, loc]], [[per, 0, loc]]) == 0.5
    assert people.f1([[per, inside, loc]], [[per, 0, loc]], "LOC") == 1.0


def test_another_process_writes_the_same_sentences_and_another_seed_others(two_processes):
    code = (
        "from utils.embedded import people; import zlib; print(zlib.crc32(repr([d[:] for d in people.load('fr', 400).values()]).encode()))"
    )
    first_told, told_again = two_processes(code)
    assert first_told == told_again
    assert people.load("fr", 400, seed=1)["test"]["text"] != people.load("fr", 400)["test"]["text"]


def test_an_unknown_language_is_told():
    with pytest.raises(ValueError, match="choose one of de, en, fr, it"):
        people.load("es")


def test_every_process_draws_the_same_sentences(two_processes):
    """Also with another order of sets, which PYTHONHASHSEED decides."""
    first_told, told_again = two_processes(
        "from utils.embedded import people; print([list(people.load(n, 200)['train']['text']) for n in people.LANGUAGES])"
    )
    assert first_told == told_again
