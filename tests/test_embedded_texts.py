"""embedded/texts: what was written by hand keeps its promises: sizes, balance, splits, spans and rules."""

import itertools
import re
from collections import Counter

import pytest

from utils.embedded import reference, texts

WRITTEN = {"questions": "question", "intents": "text", "reviews": "text", "dialogues": "instruction"}
SIZES = {
    "questions": {"validation": 70, "test": 70},
    "intents": {"train": 325, "validation": 70, "test": 145},
    "reviews": {"train": 174, "validation": 36, "test": 90},
    "dialogues": {"train": 140, "validation": 20, "test": 40},
}


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


@pytest.mark.parametrize("name", texts.NAMES)
def test_the_splits_have_the_sizes_that_the_docstring_states(name):
    assert Counter(row["split"] for row in texts.read(name)) == SIZES[name]
    for split, table in texts.load(name).items():  # of the questions, another Python may lack a few
        assert SIZES[name][split] * 0.95 <= len(table) <= SIZES[name][split]
    block = re.search(rf"{name}: (.+?)\n        ", texts.load.__doc__, re.DOTALL)[1]
    assert all(str(size) in block for size in SIZES[name].values())


@pytest.mark.parametrize("name", texts.NAMES)
def test_no_two_texts_of_different_splits_are_near_duplicates(name):
    rows = texts.read(name)
    bags = [(row["split"], words(row[WRITTEN[name]])) for row in rows]
    sets = [(split, set(bag), set(zip(*(bag[i:] for i in range(5)), strict=False))) for split, bag in bags]
    for (split, one, fives), (other, two, more) in itertools.combinations(sets, 2):
        if split != other and one and two:
            assert len(one & two) / len(one | two) <= 0.5, (one, two)
            assert not fives & more or len(fives & more) / len(fives | more) <= 0.1, (one, two)


@pytest.mark.parametrize("name", texts.NAMES)
def test_no_text_is_there_twice(name):
    found = [" ".join(words(row[WRITTEN[name]])) for row in texts.read(name)]
    assert max(Counter(found).values()) == 1


@pytest.mark.parametrize(("name", "unit"), [("intents", "family"), ("reviews", "item"), ("dialogues", "family")])
def test_families_and_items_stay_in_one_split(name, unit):
    splits = {}
    for row in texts.read(name):
        splits.setdefault(row[unit], set()).add(row["split"])
    assert all(len(s) == 1 for s in splits.values())


def test_every_question_has_its_passage_and_its_answers_stand_where_it_says():
    data, passages = texts.load("questions"), {p.id: p for p in reference.passages()}
    written = {row["id"]: row for row in texts.read("questions")}
    for question in itertools.chain(*data.values()):
        if question["wording"] == "none":
            assert question["answers"]["text"] == question["passages"] == []
            continue
        assert passages[question["passages"][0]].text == question["context"]
        assert len(question["answers"]["text"]) == len(written[question["id"]]["answers"])
        for text, start in zip(question["answers"]["text"], question["answers"]["answer_start"], strict=True):
            assert question["context"][start : start + len(text)] == text and text


def test_both_halves_of_the_questions_have_as_many_of_each_wording():
    counts = Counter((row["split"], row["wording"]) for row in texts.read("questions"))
    assert counts == {(s, w): n for s in ("validation", "test") for w, n in {"shared": 30, "different": 30, "none": 10}.items()}


def test_no_section_is_asked_about_in_both_halves():
    titles = [set(table["title"]) - {""} for table in texts.load("questions").values()]
    assert not set.intersection(*titles)


def test_wordings_marked_as_shared_share_the_passages_words_and_the_others_do_not():
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    def stems(text):
        return {re.sub(r"(ing|ed|es|s|e|ion|ly)$", "", w) for w in re.findall(r"[a-z_]{3,}", text.lower()) if w not in ENGLISH_STOP_WORDS}

    for question in itertools.chain(*texts.load("questions").values()):
        if question["wording"] != "none":
            asked = stems(question["question"])
            share = len(asked & stems(f"{question['title']} {question['context']}")) / max(1, len(asked))
            assert share >= 0.6 if question["wording"] == "shared" else share <= 0.5, (share, question["question"])


def test_a_question_whose_passage_another_python_lacks_is_left_out(monkeypatch):
    passages = reference.passages()
    gone = passages.pop(next(i for i, p in enumerate(passages) if "optimization is requested" in p.text))
    monkeypatch.setattr(reference, "passages", lambda: passages)
    data = texts.load("questions")
    assert sum(len(table) for table in data.values()) < 140
    assert all(gone.text not in table["context"] for table in data.values())


def test_every_intent_has_forty_utterances_and_is_in_every_split():
    counts = Counter(row["label"] for row in texts.read("intents"))
    assert counts == {**dict.fromkeys(texts.INTENTS, 40), "out_of_scope": 60}
    data = texts.load("intents")
    assert data["train"].features["label"].names == list(texts.INTENTS)
    assert all(set(table["label"]) == set(range(13)) for table in data.values())


def test_reviews_are_balanced_within_every_split_and_aspect():
    for table in texts.load("reviews").values():
        counts = Counter(zip(table["aspect"], table["label"], strict=True))
        assert all(counts[aspect, 0] == counts[aspect, 1] >= 4 for aspect in ("plain", "negation", "contrast", "irony"))


def test_reviews_have_two_to_four_sentences():
    for row in texts.read("reviews"):
        assert 2 <= len(re.findall(r"[.!?](?:\s|$)", row["text"])) <= 4, row["text"]


def test_counting_words_does_not_solve_the_reviews_but_beats_chance():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    rows = texts.read("reviews")
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))
    written, labels, items = ([row[column] for row in rows] for column in ("text", "label", "item"))
    right = cross_val_score(model, written, labels, groups=items, cv=GroupKFold(10))
    assert 0.6 <= right.mean() <= 0.85


def test_every_response_follows_its_own_instruction_and_no_other_kind_is_passed_by_silence():
    for row in texts.read("dialogues"):
        assert texts.follows(row["response"], row["check"], row["expected"]), row
        assert not texts.follows("", row["check"], row["expected"]), row


@pytest.mark.parametrize(
    ("response", "check", "expected", "passes"),
    [
        ("MIND THE GAP.\n", "exact", "MIND THE GAP", True),
        ("Mind the gap", "exact", "MIND THE GAP", False),
        ("There are 13 left.", "contains", "3", False),
        ("Could you wait?", "starts_with", "Could you", True),
        ("Nobody knows.", "starts_with", "No", False),
        ("apple\n\nplum", "lines", "3", False),
        ("It boils water, of course, and sings.", "at_most_words", "5", False),
    ],
)
def test_rules_are_strict_about_form_and_lenient_about_white_space(response, check, expected, passes):
    assert texts.follows(response, check, expected) is passes


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="Choose one of questions, intents"):
        texts.load("poems")
    with pytest.raises(ValueError, match="Choose one of exact"):
        texts.follows("x", "rhymes", "y")
    with pytest.raises(FileNotFoundError, match="git checkout"):
        texts.load("reviews", folder=tmp_path)
    (tmp_path / "reviews.jsonl").write_text('{"text": "good"}\n{"text"\n', encoding="utf-8")
    with pytest.raises(ValueError, match="Line 2 of reviews.jsonl"):
        texts.load("reviews", folder=tmp_path)
