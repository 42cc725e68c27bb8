"""embedded/reference: passages of the language reference and functions of the standard library, the same every time."""

import ast
import json
import re
from collections import Counter

import pytest

from utils.embedded import reference


@pytest.fixture(scope="module")
def passages():
    return reference.passages()


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    return reference.functions(cache=tmp_path_factory.mktemp("code"))


def test_the_reference_comes_in_passages_of_some_sixty_to_a_hundred_and_fifty_words(passages):
    words = [len(p.text.split()) for p in passages]
    assert 400 <= len(passages) <= 700 and max(words) <= 220
    assert sum(reference.FEWEST <= n <= reference.MOST for n in words) >= 0.8 * len(words)


def test_no_passage_and_no_id_is_there_twice(passages):
    assert len({p.id for p in passages}) == len(passages)
    assert len({p.text.lower() for p in passages}) == len(passages)


def test_passages_are_prose_without_grammar_tables_or_markup(passages):
    for passage in passages:
        assert not re.search(r"::=|\+---|>>> |\n|\*\*\w+\*\*", passage.text), passage
        assert not re.search(r"\*\w", passage.title), passage


def test_a_section_keeps_its_heading_and_loses_its_program():
    topic = (
        'The "wait" statement\n********************\n\nIt *waits* for a built-\nin timer, as in:\n\n   wait_stmt ::= "wait"\n\n'
        "   wait for it\n\nand then it goes on with the next statement.\n\nTimers\n======\n\nobject.__wait__(self)\n\n"
        "   Called by the statement when an object says that it knows how to wait.\n"
    )
    first, second = reference.passages({"wait": topic, "twin": topic})
    assert (first.id, first.title) == ("the-wait-statement-1", 'The "wait" statement')
    assert first.text == "It waits for a built-in timer, as in: and then it goes on with the next statement."
    assert second.title == "Timers" and second.text.startswith("object.__wait__(self): Called by the statement")


def test_the_warning_about_finalizers_is_not_taken_for_a_program(passages):
    assert reference.holding("exceptions that occur during their execution are ignored, and a warning is printed", passages)


def test_a_sentence_is_found_whatever_its_hyphens_and_quotation_marks_are():
    passage = reference.Passage("x-1", "x", "A “floating-point” number, never a floater.")
    assert reference.holding('a "floating point" number', [passage]) == [passage]
    assert reference.locate("floating point", passage.text) == (3, 17)
    assert reference.locate("float", passage.text) is None


def test_load_gives_the_passages_as_a_table(passages):
    table = reference.load()
    assert table.column_names == ["id", "title", "text"] and table["text"][7] == passages[7].text


def test_no_package_is_in_two_splits_and_each_has_a_fair_share(functions):
    splits = {}
    for function in functions:
        splits.setdefault(function.module.partition(".")[0].lstrip("_"), set()).add(function.split)
    assert all(len(s) == 1 for s in splits.values())
    share = Counter(f.split for f in functions)
    assert len(functions) > 7000 and all(0.05 < share[s] / len(functions) < 0.2 for s in ("validation", "test"))


def test_a_module_stays_with_its_twin_in_python_and_in_its_split_for_ever():
    assert reference.split_of("_pydatetime") == reference.split_of("datetime") == "test"
    assert reference.split_of("importlib.util") == "validation" and reference.split_of("json.decoder") == "train"


def test_every_function_parses_alone_with_and_without_its_docstring(functions):
    for function in functions[::20]:
        (bare,), (whole,) = ast.parse(function.bare).body, ast.parse(function.source).body
        assert ast.get_docstring(bare) is None and bare.name == whole.name == function.name.split(".")[-1]
        body = whole.body[1:] if ast.get_docstring(whole, clean=False) is not None else whole.body
        assert [ast.dump(s) for s in bare.body] == [ast.dump(s) for s in body]
        assert 3 <= len(function.bare.split("\n")) <= 60


def test_no_body_is_there_twice_under_another_name(functions):
    bodies = Counter()
    for function in functions:
        (node,) = ast.parse(function.bare).body
        bodies[ast.dump(node.args) + ast.dump(ast.Module(node.body, []))] += 1
    assert bodies.most_common(1)[0][1] == 1


def test_docstrings_stay_on_request(functions, monkeypatch):
    monkeypatch.setattr(reference, "functions", lambda cache=None: functions)
    without, kept = reference.code()["test"], reference.code(docstrings=True)["test"]
    assert set(without.column_names) == {"source", "name", "module"}
    assert sum('"""' in s for s in kept["source"]) > 5 * sum('"""' in s for s in without["source"])


def test_a_second_call_reads_the_same_from_the_cache_and_a_cut_off_one_is_made_again(tmp_path, monkeypatch):
    few = [file for file in reference._files() if file[0] in ("json.decoder", "textwrap")]
    monkeypatch.setattr(reference, "_files", lambda: few)
    path = tmp_path / f"code-3-60-{reference._key()}.json"
    path.write_text(json.dumps([["f", "m", "s", "b", "train"]]), encoding="utf-8")
    assert reference.functions(cache=tmp_path) == [reference.Function("f", "m", "s", "b", "train")]
    path.write_text("[[", encoding="utf-8")
    assert {f.module for f in reference.functions(cache=tmp_path)} == {"json.decoder", "textwrap"}
    assert len(json.loads(path.read_text(encoding="utf-8"))) > 10 and not list(tmp_path.glob("*.tmp"))
