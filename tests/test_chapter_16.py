"""Chapter 16: its solutions pass, its stubs fail, and typical mistakes get a sentence that helps."""

import re

import nbformat
import pytest
import torch

from utils import ROOT, exercises, quiz

NOTEBOOK = ROOT / "chapters" / "16_interpretability_and_tracking.ipynb"


def answers(student: bool = False) -> dict:
    """Exercise id → the function in its cell, as the solution or as a student's stub."""
    found = {}
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if "exercise" in cell.metadata.get("tags", []):
            source, id = re.subn(r"^check\(.*$", "", cell.source, flags=re.MULTILINE)[0], re.search(r'check\("([\d.]+)"', cell.source)[1]
            namespace = {}
            exec(exercises.stub(source) if student else source, namespace)
            found[id] = next(v for k, v in namespace.items() if callable(v) and k == re.search(r'check\("[\d.]+", (\w+)', cell.source)[1])
    return found


def test_there_are_six_exercises_each_with_a_judge():
    assert sorted(answers()) == sorted(exercises.load(16)) == [f"16.{n}" for n in range(1, 7)]


@pytest.mark.parametrize("id", [f"16.{n}" for n in range(1, 7)])
def test_the_solution_is_right_and_the_stub_is_not(id):
    assert exercises.grade(id, answers()[id]) is None
    assert "yet" in exercises.grade(id, answers(student=True)[id])


def receives_with_padding(weights, mask):
    return weights.mean(1).mean(1)


def gives(weights, mask):
    return weights.mean(1).mean(2)


def gradient_only(function, x, baseline, steps):
    points = (baseline + torch.linspace(0, 1, steps)[:, None] * (x - baseline)).requires_grad_()
    return torch.autograd.grad(function(points).sum(), points)[0].mean(0)


def left_ends(function, x, baseline, steps):
    points = (baseline + (torch.arange(steps) / steps)[:, None] * (x - baseline)).requires_grad_()
    return (x - baseline) * torch.autograd.grad(function(points).sum(), points)[0].mean(0)


def least_first(predict, words, scores, blank, shares):
    return answers()["16.4"](predict, words, -scores, blank, shares)


def by_size(predict, words, scores, blank, shares):
    return answers()["16.4"](predict, words, abs(scores), blank, shares)


def uncorrected(values, weight):
    average, out = 0.0, []
    for value in values:
        average = weight * average + (1 - weight) * value
        out.append(average)
    return out


def from_the_first_value(values, weight):
    average, out = values[0], []
    for value in values:
        average = weight * average + (1 - weight) * value
        out.append(average)
    return out


def twice(states, norm, unembedding, token):
    return [int((unembedding(norm(s)) > unembedding(norm(s))[token]).sum()) for s in states]


def never(states, norm, unembedding, token):
    return [int((unembedding(s) > unembedding(s)[token]).sum()) for s in states]


@pytest.mark.parametrize(
    ("id", "wrong", "helps"),
    [
        ("16.1", lambda logits: logits.max(-1).values, "largest logit"),
        ("16.1", lambda logits: logits.softmax(0).max(-1).values, "over the documents"),
        ("16.1", lambda logits: (logits.exp() / logits.exp().sum(-1, keepdim=True)).max(-1).values, "overflows"),
        ("16.2", receives_with_padding, "padding"),
        ("16.2", gives, "gives"),
        ("16.3", gradient_only, "multiplied"),
        ("16.3", left_ends, "add up|end of the path"),
        ("16.4", least_first, "least important"),
        ("16.4", by_size, "absolute value"),
        ("16.5", uncorrected, "towards zero"),
        ("16.5", from_the_first_value, "starts from the first value"),
        ("16.6", twice, "twice"),
        ("16.6", never, "norm is missing"),
    ],
)
def test_a_typical_mistake_is_named(id, wrong, helps):
    assert re.search(helps, exercises.grade(id, wrong))


def test_the_quiz_has_a_reason_for_every_choice():
    assert 7 <= len(quiz(16).questions) <= 8
