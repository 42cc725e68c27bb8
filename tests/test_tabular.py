"""utils.tabular and the rest of what chapter 11 teaches: the same code in both places, and what the models promise."""

from __future__ import annotations

import ast

import nbformat
import pytest
import torch

from utils import ROOT
from utils.tabular import FeatureTokenizer, FTTransformer, TabTransformer

NOTEBOOK = ROOT / "chapters" / "11_reading_tables.ipynb"
SIZES = [4, 3]


def definitions(source: str) -> dict[str, str]:
    """Name → normal form of every function and class, without docstrings and annotations."""
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


@pytest.mark.parametrize("module, names", [("tabular", None), ("tapas", ("ranks", "relation"))])
def test_the_chapter_teaches_what_utils_holds(module, names):
    taught = {}
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if cell.cell_type == "code":
            taught |= definitions(cell.source)
    held = definitions((ROOT / "utils" / f"{module}.py").read_text(encoding="utf-8"))
    for name in names or held:
        assert taught.get(name) == held[name], f"{name} differs between chapter 11 and utils/{module}.py"


def rows(count=5, n=3):
    generator = torch.Generator().manual_seed(0)
    codes = torch.stack([torch.randint(0, size, (count,), generator=generator) for size in SIZES], dim=1)
    return torch.randn(count, n, generator=generator), codes


@pytest.mark.parametrize("model", [FTTransformer, TabTransformer])
def test_a_row_becomes_one_vector_of_outputs(model):
    assert model(3, SIZES, outputs=2)(*rows()).shape == (5, 2)


def test_ft_transformer_does_without_numbers_or_without_categories():
    numbers, codes = rows()
    assert FTTransformer(3, [])(numbers, codes[:, :0]).shape == (5, 1)
    assert FTTransformer(0, SIZES)(numbers[:, :0], codes).shape == (5, 1)


def test_every_category_has_rows_of_its_own():
    tokenizer = FeatureTokenizer(0, SIZES, 8)
    none = torch.zeros(1, 0)
    first, second = tokenizer(none, torch.tensor([[3, 0]])), tokenizer(none, torch.tensor([[0, 0]]))
    assert torch.equal(first[:, 2], second[:, 2]) and not torch.equal(first[:, 1], second[:, 1])
    assert tokenizer.values.weight.shape[0] == sum(SIZES)


def test_numbers_enter_the_context_of_the_categories_in_ft_transformer():
    numbers, codes = rows()
    numbers.requires_grad_()
    model = FTTransformer(3, SIZES).eval()
    tokens = model.tokenizer(numbers, codes)
    for block in model.blocks:
        tokens = block(tokens)
    (gradient,) = torch.autograd.grad(tokens[:, -1].sum(), numbers)
    assert (gradient != 0).all()  # the last category's token has heard of every number


def test_blocks_keep_the_attention_of_their_last_call():
    model = FTTransformer(3, SIZES, heads=4)
    model(*rows())
    assert [b.attention.weights.shape for b in model.blocks] == [(5, 4, 6, 6)] * 2
