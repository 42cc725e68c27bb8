"""utils.tapas and its questions: equal to the library, answered by the cells they name, kept apart between the splits."""

from __future__ import annotations

import itertools
import re

import pytest
import torch
from transformers import TapasForQuestionAnswering, TapasTokenizer

from utils import assets, tapas
from utils.embedded import table_questions as tq

EVERY = tq.KINDS + tq.FOLLOWING


def drawn(number, split="train", **options):
    return list(itertools.islice(tq.questions(7, split, per_table=2, **options), number))


@pytest.fixture(scope="module")
def tokenizer():
    return TapasTokenizer.from_pretrained(assets.model("embedded/tapas"))


@pytest.fixture(scope="module")
def model():
    return TapasForQuestionAnswering.from_pretrained(assets.model("embedded/tapas"), dtype=torch.float32)


def test_tokens_and_positions_are_those_of_the_library(tokenizer):
    for question in drawn(60, kinds=EVERY):
        ids, kinds = tapas.encode(tokenizer, question.text, question.table)
        theirs = tokenizer(table=question.table.frame(), queries=question.text)
        assert (ids, kinds) == (theirs["input_ids"], theirs["token_type_ids"]), question


def test_the_previous_answer_is_marked_as_the_library_marks_it(tokenizer):
    question = next(q for q in drawn(200, kinds=tq.FOLLOWING) if len(q.previous) > 1)
    texts = [[question.table.rows[r][c] for r, c in question.previous]]
    theirs = tokenizer(
        table=question.table.frame(),
        queries=["first", question.text],
        answer_coordinates=[list(question.previous)] * 2,
        answer_text=texts * 2,
    )
    assert tapas.encode(tokenizer, question.text, question.table, question.previous)[1] == theirs["token_type_ids"][1]


def test_words_and_figures_are_read_as_numbers():
    assert tapas.numbers_in("older than 30 and the second of three") == [30, 2, 3]
    assert tapas.number("3.5") == 3.5 and tapas.number("-2") == -2
    assert tapas.number("3 500") is None and tapas.number("") is None


def test_two_tokenizers_do_not_share_their_word_pieces(tokenizer, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[EMPTY]", "age"]), encoding="utf-8")
    assert tapas.word_pieces(TapasTokenizer(str(tmp_path / "vocab.txt")), "age") == (6,) != tapas.word_pieces(tokenizer, "age")


def test_equal_numbers_share_a_rank_and_words_have_none():
    assert tapas.ranks([5.0, None, 9.0, 5.0]) == ([1, 0, 2, 1], [2, 0, 1, 2])
    assert tapas.relation([5.0, None, 9.0], [5.0, 7.0]) == [1 + 4, 0, 2]


def test_a_batch_is_padded_and_its_labels_stand_on_the_answering_cells(tokenizer):
    questions = drawn(8)
    inputs = tapas.batch(tokenizer, questions)
    assert inputs["labels"].shape == inputs["input_ids"].shape == inputs["token_type_ids"].shape[:2]
    assert (inputs["input_ids"][inputs["attention_mask"] == 0] == 0).all()
    for labels, kinds, question in zip(inputs["labels"], inputs["token_type_ids"], questions, strict=True):
        cells = {(int(row) - 1, int(column) - 1) for column, row in kinds[labels > 0, 1:3]}
        assert cells == set(question.cells)


def test_the_shipped_model_answers_questions_about_unseen_tables(model, tokenizer):
    questions = drawn(150, "test")
    right = [tapas.correct(q, *p) for q, p in zip(questions, tapas.predict(model, tokenizer, questions), strict=True)]
    torch.manual_seed(0)
    guess = tapas.predict(TapasForQuestionAnswering(model.config), tokenizer, questions)
    assert sum(right) / len(right) > 0.8
    assert sum(tapas.correct(q, *p) for q, p in zip(questions, guess, strict=True)) / len(right) < 0.1


def test_a_calculated_answer_counts_by_its_value_and_a_selected_one_by_its_cells():
    table = tq.Table(("name", "age"), (("Ann", "30"), ("Bob", "50"), ("Eve", "40")))
    average = tq.Question("average age?", table, ((0, 1), (1, 1), (2, 1)), 2, "average", "")
    assert average.answer == "40"
    assert tapas.correct(average, ((0, 1), (1, 1)), 2)  # 40 too
    assert not tapas.correct(average, ((2, 1),), 0)  # the cell says 40, but nothing was calculated
    lookup = tq.Question("age of Eve?", table, ((2, 1),), 0, "lookup", "")
    assert tapas.correct(lookup, ((2, 1),), 0) and not tapas.correct(lookup, ((2, 1),), 1)


def test_answers_are_what_a_person_would_say():
    table = tq.Table(("name", "age"), (("Ann", "30"), ("Bob", "51")))
    assert tq.answer(table, [(1, 0), (0, 0)], 0) == "Ann, Bob"
    assert tq.answer(table, [(0, 1), (1, 1)], 1) == "81" and tq.answer(table, [(0, 1), (1, 1)], 2) == "40.5"
    assert tq.answer(table, [], 3) == "0" and tq.answer(table, [], 1) == "" and tq.answer(table, [(0, 0)], 1) == "not a number"


def test_every_kind_of_question_comes_up_and_is_answered_by_cells_that_exist():
    questions = drawn(1500, kinds=EVERY)
    assert {q.kind for q in questions} == set(EVERY)
    for q in questions:
        assert q.cells and all(r < len(q.table.rows) and c < len(q.table.header) for r, c in q.cells)
        assert not re.search(r"[{}]", q.text) and bool(q.previous) == (q.kind in tq.FOLLOWING)


def test_comparisons_and_superlatives_are_answered_by_the_numbers():
    for q in drawn(1500, kinds=("most", "least", "highest", "lowest", "more", "fewer")):
        numbers = [
            [int(v) for v in q.table.column(c)] if all(v.isdigit() for v in q.table.column(c)) else None for c in range(len(q.table.header))
        ]
        rows = {r for r, _ in q.cells}
        if q.kind in ("most", "highest", "least", "lowest"):
            pick = max if q.kind in ("most", "highest") else min
            assert any(column and {r for r, v in enumerate(column) if v == pick(column)} == rows for column in numbers), q
        else:
            limit = int(re.search(r"\d+", q.text).group())
            assert any(
                column and {r for r, v in enumerate(column) if (v > limit if q.kind == "more" else v < limit)} == rows for column in numbers
            ), q


def test_people_and_cities_of_test_tables_are_in_no_training_table():
    def words(split):
        return {word for q in drawn(800, split) for row in q.table.rows for word in row[q.table.subject].split()}

    assert not words("train") & words("test") and not words("train") & words("validation")
    for pool in ("city", "country", "job"):
        assert not set(tq.POOLS[pool]["train"]) & set(tq.POOLS[pool]["test"])


def test_wordings_kept_for_tests_are_in_no_training_question():
    seen, kept = ({q.wording for q in drawn(4000, kinds=EVERY, unseen=unseen)} for unseen in (False, True))
    assert not seen & kept and len(kept) > 40


def test_the_same_seed_gives_the_same_questions():
    assert drawn(50) == drawn(50)
    assert drawn(50) != list(itertools.islice(tq.questions(8, per_table=2), 50))


def about(statement) -> list[int]:
    """The columns whose header the statement names; several where one header is a part of another."""
    return [c for c, header in enumerate(statement.table.header) if says(statement.text, header)]


def says(text, part):
    return re.search(rf"\b{re.escape(part)}\b", text) is not None


def test_a_statement_about_a_value_is_true_exactly_when_it_stands_in_the_table():
    for s in itertools.islice(tq.statements(3, kinds=("value",)), 300):
        (row,) = [row for row in s.table.rows if says(s.text, row[s.table.subject])]
        if len(columns := about(s)) == 1:
            assert s.true == says(s.text, row[columns[0]]), s


def test_a_statement_about_more_and_most_is_true_exactly_when_the_numbers_say_so():
    for s in itertools.islice(tq.statements(3, kinds=("most", "least", "more")), 300):
        if len(columns := about(s)) > 1:
            continue
        values = {row[s.table.subject]: int(row[columns[0]]) for row in s.table.rows}
        named = sorted((n for n in values if n in s.text), key=s.text.index)
        if s.kind == "more":
            first, second = named if " less " not in s.text else named[::-1]
            assert s.true == (values[first] > values[second]), s
        else:
            assert s.true == (values[named[0]] == (max if s.kind == "most" else min)(values.values())), s


def test_as_many_statements_are_true_as_false():
    share = sum(s.true for s in itertools.islice(tq.statements(5), 2000)) / 2000
    assert 0.45 < share < 0.55
