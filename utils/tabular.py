"""The table models of chapter 11, for chapter 12 to import: `from utils.tabular import FTTransformer`.

Chapter 11 builds every definition below line by line; a test keeps the two the same. A row of a table arrives as
numbers (batch, n) in floats, standardised, and categories (batch, c) in integer codes; n or c may be 0. Code 0 of a
category stands for "not seen in training".
"""

import torch
from torch import nn
from torch.nn import functional as F

from utils.layers import EncoderLayer, MultiHeadAttention


class FeatureTokenizer(nn.Module):
    """One token per feature: x·w + b for a number, a looked-up row + b for a category, and [CLS] in front.

    Gorishniy et al. (2021), "Revisiting Deep Learning Models for Tabular Data", section 3.3.
    numbers (batch, n), categories (batch, c) → (batch, 1 + n + c, width). sizes: codes of each category, 0 included.
    """

    def __init__(self, n_numbers, sizes, width):
        super().__init__()
        scale = width**-0.5
        self.weight = nn.Parameter(torch.empty(n_numbers, width).uniform_(-scale, scale))
        self.bias = nn.Parameter(torch.empty(n_numbers + len(sizes), width).uniform_(-scale, scale))
        self.cls = nn.Parameter(torch.empty(1, width).uniform_(-scale, scale))
        self.values = nn.Embedding(sum(sizes), width)
        nn.init.uniform_(self.values.weight, -scale, scale)
        self.register_buffer("offsets", torch.tensor([0, *sizes]).cumsum(0)[:-1])

    def forward(self, numbers, categories):
        from_numbers = numbers.unsqueeze(-1) * self.weight  # (batch, n, width)
        from_categories = self.values(categories + self.offsets)  # (batch, c, width)
        features = torch.cat([from_numbers, from_categories], dim=1) + self.bias
        return torch.cat([self.cls.expand(len(features), 1, -1), features], dim=1)


class PreNormBlock(nn.Module):
    """Attention and a gated feed-forward network (ReGLU), each normalised before and added after.

    x (batch, tokens, width) → the same shape. The first block of the FT-Transformer has no norm before its attention.
    """

    def __init__(self, width, heads, dropout=0.1, first=False):
        super().__init__()
        self.attention = MultiHeadAttention(width, heads)
        self.before_attention = nn.Identity() if first else nn.LayerNorm(width)
        self.before_feed_forward = nn.LayerNorm(width)
        hidden = width * 4 // 3
        self.widen, self.narrow = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        normed = self.before_attention(x)
        x = x + self.dropout(self.attention(normed, normed))
        gate, value = self.widen(self.before_feed_forward(x)).chunk(2, dim=-1)
        return x + self.dropout(self.narrow(F.relu(gate) * value))


class FTTransformer(nn.Module):
    """FT-Transformer: all features become tokens, [CLS] answers. Gorishniy et al. (2021), section 3.3.

    numbers (batch, n), categories (batch, c) → (batch, outputs).
    """

    def __init__(self, n_numbers, sizes, outputs=1, width=32, heads=4, depth=2, dropout=0.1):
        super().__init__()
        self.tokenizer = FeatureTokenizer(n_numbers, sizes, width)
        self.blocks = nn.ModuleList(PreNormBlock(width, heads, dropout, first=i == 0) for i in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, numbers, categories):
        tokens = self.tokenizer(numbers, categories)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens[:, 0])


class TabTransformer(nn.Module):
    """TabTransformer: attention among the categories only, then an MLP over all. Huang et al. (2020), section 2.

    A value's embedding is its column's vector (an eighth of the width) beside its own. numbers (batch, n),
    categories (batch, c), c ≥ 1 → (batch, outputs).
    """

    def __init__(self, n_numbers, sizes, outputs=1, width=32, heads=4, depth=2, dropout=0.1):
        super().__init__()
        self.columns = nn.Parameter(torch.randn(len(sizes), width // 8) * width**-0.5)
        self.values = nn.Embedding(sum(sizes), width - width // 8)
        nn.init.normal_(self.values.weight, std=width**-0.5)
        self.register_buffer("offsets", torch.tensor([0, *sizes]).cumsum(0)[:-1])
        self.layers = nn.ModuleList(EncoderLayer(width, heads, 4 * width, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(n_numbers)
        size = n_numbers + len(sizes) * width
        self.mlp = nn.Sequential(
            nn.Linear(size, 4 * size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * size, 2 * size),
            nn.ReLU(),
            nn.Linear(2 * size, outputs),
        )

    def contextual(self, categories):
        """The categories' embeddings after attention, (batch, c, width)."""
        columns = self.columns.expand(len(categories), -1, -1)
        x = torch.cat([columns, self.values(categories + self.offsets)], dim=-1)
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, numbers, categories):
        return self.mlp(torch.cat([self.contextual(categories).flatten(1), self.norm(numbers)], dim=-1))
