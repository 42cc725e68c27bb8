"""utils.tabular and the rest of what chapter 11 teaches: the same code in both places, and what the models promise."""

from __future__ import annotations

import pytest
import torch

from tests.test_layers import assert_taught
from utils import ROOT
from utils.tabular import FeatureTokenizer, FTTransformer, TabTransformer

NOTEBOOK = ROOT / "chapters" / "11_reading_tables.ipynb"
SIZES = [4, 3]


@pytest.mark.parametrize("module, names", [("tabular", ()), ("tapas", ("ranks", "relation"))])
def test_the_chapter_teaches_what_utils_holds(module, names):
    assert_taught(NOTEBOOK, module, *names)


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
