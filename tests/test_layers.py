"""The definitions of utils.layers: equal to PyTorch's, the same as chapter 1 teaches; and the judges of chapter 1."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from utils import ROOT, exercises, layers

NOTEBOOK = ROOT / "chapters" / "01_transformer_architecture.ipynb"


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def definitions(source: str) -> dict[str, str]:
    """Name → normal form of every function and class, without docstrings and annotations (the parser drops comments)."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(inner) is not None:
                    inner.body = inner.body[1:]
                if isinstance(inner, ast.FunctionDef):
                    inner.returns = None
                    for argument in inner.args.args:
                        argument.annotation = None
            found[node.name] = ast.unparse(node)
    return found


def code_cells():
    return [c for c in nbformat.read(NOTEBOOK, 4).cells if c.cell_type == "code"]


def assert_taught(notebook: Path, module: str, *names: str) -> None:
    """The chapter defines what utils/<module>.py holds: all of it, or the names given."""
    taught = {}
    for cell in nbformat.read(notebook, 4).cells:
        if cell.cell_type == "code":
            taught |= definitions(cell.source)
    held = definitions((ROOT / "utils" / f"{module}.py").read_text(encoding="utf-8"))
    for name in names or held:
        assert taught.get(name) == held[name], f"{name} differs between {notebook.stem} and utils/{module}.py"


def test_the_chapter_defines_exactly_what_layers_holds():
    assert_taught(NOTEBOOK, "layers")


def test_attention_equals_torch_and_its_weights_add_up_to_one():
    queries, keys, values = random(3, 2, 5, 8).unbind()
    context, weights = layers.attention(queries, keys, values, layers.causal(5))
    assert torch.allclose(context, F.scaled_dot_product_attention(queries, keys, values, is_causal=True), atol=1e-6)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 5))
    assert (weights[:, ~layers.causal(5)] == 0).all()


def test_positions_begin_with_sine_zero_cosine_one_and_have_equal_length():
    positions = layers.sinusoidal_positions(50, 8)
    assert torch.equal(positions[0], torch.tensor([0.0, 1.0] * 4))
    assert torch.allclose(positions.norm(dim=-1), torch.full((50,), 2.0))
    assert math.isclose(positions[7, 0], math.sin(7), abs_tol=1e-5)


def test_the_encoder_layer_with_copied_weights_equals_torch():
    theirs, ours = nn.TransformerEncoderLayer(16, 4, 32, dropout=0, batch_first=True), layers.EncoderLayer(16, 4, 32)
    with torch.no_grad():
        for number, parameter in enumerate(theirs.parameters()):
            parameter.copy_(0.3 * random(*parameter.shape, seed=number))
        for linear, weight, bias in zip(
            (ours.attention.queries, ours.attention.keys, ours.attention.values),
            theirs.self_attn.in_proj_weight.chunk(3),
            theirs.self_attn.in_proj_bias.chunk(3),
            strict=True,
        ):
            linear.weight.copy_(weight), linear.bias.copy_(bias)
    for own, other in (
        (ours.attention.out, theirs.self_attn.out_proj),
        (ours.norm_1, theirs.norm1),
        (ours.norm_2, theirs.norm2),
        (ours.feed_forward[0], theirs.linear1),
        (ours.feed_forward[2], theirs.linear2),
    ):
        own.load_state_dict(other.state_dict())
    x = random(2, 6, 16, seed=99)
    assert torch.allclose(ours(x, layers.causal(6)), theirs(x, src_mask=~layers.causal(6)), atol=1e-5)


def test_the_transformer_ignores_padding_and_the_future():
    torch.manual_seed(0)
    model = layers.Transformer(12, 16, 2, 1, 32).eval()
    sources, targets = torch.tensor([[3, 4, 5]]), torch.tensor([[1, 6, 7, 8]])
    scores = model(sources, targets)
    assert scores.shape == (1, 4, 12)
    assert torch.allclose(model(torch.tensor([[3, 4, 5, 0, 0]]), targets), scores, atol=1e-5)
    other_end = torch.tensor([[1, 6, 9, 9]])
    assert torch.allclose(model(sources, other_end)[:, :2], scores[:, :2], atol=1e-5)
    assert not torch.allclose(model(sources, other_end)[:, 2:], scores[:, 2:], atol=1e-3)


def test_the_weights_of_the_last_call_are_kept():
    attention = layers.MultiHeadAttention(16, 4)
    attention(random(2, 3, 16), random(2, 5, 16))
    assert attention.weights.shape == (2, 4, 3, 5)
    assert not attention.weights.requires_grad


# Chapter 1's exercises: every solution passes, every stub fails, and typical mistakes get the sentence that helps.


def run(source: str) -> dict:
    """The names that an exercise cell leaves, given what the chapter imports."""
    space = {"check": lambda *_: None, "torch": torch, "nn": nn, "F": F, "math": math}
    exec(source, space)
    return space


def exercise_cells() -> dict[str, tuple[str, str]]:
    """Exercise id → (source, name of the function)."""
    found = {}
    for cell in code_cells():
        if "exercise" in cell.metadata.get("tags", []):
            call = ast.parse(cell.source).body[-1].value
            found[call.args[0].value] = (cell.source, call.args[1].id)
    return found


@pytest.mark.parametrize("id", ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6"])
def test_solutions_pass_and_stubs_fail(id):
    source, name = exercise_cells()[id]
    assert exercises.grade(id, run(source)[name]) is None
    assert "yet" in exercises.grade(id, run(exercises.stub(source))[name])


def mask_after_softmax(queries, keys, values, lengths):
    weights = (queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5).softmax(-1)
    return (weights * (torch.arange(keys.shape[1]) < lengths[:, None])[:, None, :]) @ values


def mask_with_zero(queries, keys, values, lengths):
    scores = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5
    return (scores * (torch.arange(keys.shape[1]) < lengths[:, None])[:, None, :]).softmax(-1) @ values


def mask_rows(queries, keys, values, lengths):
    scores = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5
    real = torch.arange(keys.shape[1]) < lengths[:, None]
    return scores.masked_fill(~real[:, :, None], -torch.inf).softmax(-1) @ values


def walk_back(encodings, offset):
    angle = offset * 10_000 ** (-torch.arange(0, encodings.shape[-1], 2) / encodings.shape[-1])
    sine, cosine = encodings[..., 0::2], encodings[..., 1::2]
    return torch.stack([sine * angle.cos() - cosine * angle.sin(), cosine * angle.cos() + sine * angle.sin()], -1).flatten(-2)


def greedy(next_log_probabilities, start, end, beams, longest):
    sequence = [start]
    while sequence[-1] != end and len(sequence) < longest:
        scores = next_log_probabilities(sequence)
        sequence.append(max(range(len(scores)), key=scores.__getitem__))
    return sequence


def all_causal(length, prefix):
    return torch.ones(length, length, dtype=torch.bool).tril()


@pytest.mark.parametrize(
    "id, answer, sentence",
    [
        ("1.1", lambda a, b: float(a @ b), "divided by the lengths"),
        ("1.1", lambda a, b: (a.double() @ b.double() / a.double().norm() / b.double().norm()).item(), "empty text"),
        ("1.1", lambda a, b: a.double() @ b.double() / a.double().norm() / b.double().norm(), "Python float"),
        ("1.1", lambda a, b: a.norm(), "stops with RuntimeError"),
        ("1.2", walk_back, "walks back"),
        ("1.2", lambda encodings, offset: encodings.roll(-offset, 0), "turn each row by itself"),
        ("1.3", mask_after_softmax, "after the softmax"),
        ("1.3", mask_with_zero, "score of zero"),
        ("1.3", mask_rows, "mask keys"),
        ("1.3", lambda q, k, v, lengths: F.scaled_dot_product_attention(q, k, v), "no effect"),
        ("1.4", lambda width, hidden: 4 * width**2 + 2 * width * hidden + 4 * width, "biases"),
        ("1.4", lambda width, hidden: 4 * (width**2 + width) + 2 * width * hidden + width + hidden, "normalisations"),
        ("1.5", greedy, "trap"),
        ("1.6", all_causal, "plain causal mask"),
        ("1.6", lambda length, prefix: ~exercise_solution("1.6")(length, prefix), "inverted"),
    ],
)
def test_a_typical_mistake_is_recognised(id, answer, sentence):
    assert sentence in exercises.grade(id, answer)


def exercise_solution(id):
    source, name = exercise_cells()[id]
    return run(source)[name]
