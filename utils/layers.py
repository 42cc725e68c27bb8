"""The transformer of chapter 1, for later chapters to import: `from utils.layers import Transformer`.

Chapter 1 builds every definition below line by line; a test keeps the two the same. Masks are boolean and
True where attention is allowed. Post-norm, as in Vaswani et al. (2017), "Attention Is All You Need".
"""

import math

import torch
from torch import nn


def sinusoidal_positions(length, width):
    """One row per position, (length, width); Vaswani et al. (2017), section 3.5. width has to be even."""
    position = torch.arange(length).unsqueeze(1)  # (length, 1)
    frequency = torch.exp(-math.log(10_000) * torch.arange(0, width, 2) / width)  # (width / 2,)
    angle = position * frequency  # (length, width / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)  # sine, cosine, sine, cosine, …


def attention(queries, keys, values, allowed=None):
    """Scaled dot-product attention, equation (1) of Vaswani et al. (2017).

    queries (…, targets, size), keys (…, sources, size), values (…, sources, any); allowed broadcasts to
    (…, targets, sources). Returns context (…, targets, any) and weights (…, targets, sources).
    A row of `allowed` with no True gives NaN.
    """
    scores = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    weights = scores.softmax(-1)
    return weights @ values, weights


def causal(length, device=None):
    """(length, length), True where position i may see position j: itself and the past."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()


class MultiHeadAttention(nn.Module):
    """Section 3.2.2. queries_from (batch, targets, width), keys_from (batch, sources, width) → (batch, targets, width).

    allowed broadcasts to (batch, heads, targets, sources). The last call's weights, of that shape, stay in `.weights`.
    """

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.queries, self.keys = nn.Linear(width, width), nn.Linear(width, width)
        self.values, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (batch, heads, tokens, head_dim)

    def forward(self, queries_from, keys_from, allowed=None):
        queries = self.split(self.queries(queries_from))
        keys, values = self.split(self.keys(keys_from)), self.split(self.values(keys_from))
        context, weights = attention(queries, keys, values, allowed)
        self.weights = weights.detach()  # (batch, heads, targets, sources)
        return self.out(context.transpose(1, 2).flatten(2))  # (batch, targets, width)


class FeedForward(nn.Sequential):
    """Section 3.3: every position by itself, (…, width) → (…, hidden) → (…, width)."""

    def __init__(self, width, hidden):
        super().__init__(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))


class EncoderLayer(nn.Module):
    """Self-attention, then feed-forward, each with residual and norm: (batch, sources, width) → the same shape."""

    def __init__(self, width, heads, hidden, dropout=0.0):
        super().__init__()
        self.attention, self.feed_forward = MultiHeadAttention(width, heads), FeedForward(width, hidden)
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, allowed=None):
        x = self.norm_1(x + self.dropout(self.attention(x, x, allowed)))
        return self.norm_2(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention to `memory` (batch, sources, width), feed-forward; x (batch, targets, width)."""

    def __init__(self, width, heads, hidden, dropout=0.0):
        super().__init__()
        self.self_attention = MultiHeadAttention(width, heads)
        self.cross_attention = MultiHeadAttention(width, heads)
        self.feed_forward = FeedForward(width, hidden)
        self.norm_1, self.norm_2, self.norm_3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, memory, allowed=None, memory_allowed=None):
        x = self.norm_1(x + self.dropout(self.self_attention(x, x, allowed)))
        x = self.norm_2(x + self.dropout(self.cross_attention(x, memory, memory_allowed)))
        return self.norm_3(x + self.dropout(self.feed_forward(x)))


class Transformer(nn.Module):
    """The whole model of 2017: sources and targets (batch, tokens) of ids → logits (batch, targets, vocabulary).

    One embedding table serves sources, targets and output (section 3.4). Id `padding` is never attended to.
    """

    def __init__(self, vocabulary, width, heads, layers, hidden, dropout=0.0, longest=512, padding=0):
        super().__init__()
        self.width, self.padding = width, padding
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.register_buffer("positions", sinusoidal_positions(longest, width), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout) for _ in range(layers))

    def embed(self, ids):
        x = self.embedding(ids) * self.width**0.5 + self.positions[: ids.shape[1]]
        return self.dropout(x)  # (batch, tokens, width)

    def real(self, ids):
        return (ids != self.padding)[:, None, None, :]  # (batch, 1, 1, tokens): for every head and query

    def encode(self, sources):
        x = self.embed(sources)
        for layer in self.encoder:
            x = layer(x, self.real(sources))
        return x  # (batch, sources, width)

    def decode(self, targets, memory, sources):
        x = self.embed(targets)
        allowed = causal(targets.shape[1], targets.device) & self.real(targets)
        for layer in self.decoder:
            x = layer(x, memory, allowed, self.real(sources))
        return x @ self.embedding.weight.T  # (batch, targets, vocabulary)

    def forward(self, sources, targets):
        return self.decode(targets, self.encode(sources), sources)
