"""Judges and hints of chapter 1. A judge returns None when the answer is right, else one sentence."""

import math

import torch

from utils import layers
from utils.exercises import exercise

NOTHING = "the function returns nothing yet; end it with a `return`."


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@exercise(
    "1.1",
    hints=(
        "The inner product is `a @ b`; the length of a vector is `a.norm()`.",
        "Counts are integers, and `norm` wants floats: convert both with `.double()` first. Then divide by both lengths.",
        "When the product of the lengths is 0, return 0.0; otherwise `(a @ b / (a.norm() * b.norm())).item()`.",
    ),
)
def cosine(answer):
    a, b, empty = torch.tensor([2, 1, 0]), torch.tensor([1, 0, 3]), torch.tensor([0, 0, 0])
    found = answer(a, b)
    if found is None:
        return NOTHING
    if not isinstance(found, float):
        return f"it has to return a Python float, not {type(found).__name__}; `.item()` takes the number out of a tensor."
    right = 2 / math.sqrt(5 * 10)
    if math.isclose(found, 2, abs_tol=1e-6):
        return "that is the inner product; a cosine is also divided by the lengths of both vectors."
    if not math.isclose(found, right, abs_tol=1e-4):
        return f"for [2, 1, 0] and [1, 0, 3] it gives {found:.3f}, and the cosine is {right:.3f}."
    zero = answer(a, empty)
    if not isinstance(zero, float) or math.isnan(zero):
        return "an empty text gives `nan`: a vector of length 0 must not be divided by its length; return 0.0 for it."
    if zero != 0 or answer(empty, empty) != 0:
        return "the similarity with an empty text has to be 0.0, also that of two empty texts."
    return None


@exercise(
    "1.2",
    hints=(
        "Sines stand in `encodings[..., 0::2]`, cosines in `encodings[..., 1::2]`; each hand turns by offset · 10000^(−2i/width).",
        "sin(a + b) = sin a · cos b + cos a · sin b, and cos(a + b) = cos a · cos b − sin a · sin b.",
        "Put the two results together by `torch.stack([sines, cosines], dim=-1).flatten(-2)`, so that they alternate again.",
    ),
)
def shift(answer):
    positions = layers.sinusoidal_positions(60, 8)
    found = answer(positions[:10], 4)
    if found is None:
        return NOTHING
    if tuple(found.shape) != (10, 8):
        return f"for encodings of shape (10, 8) the result has the shape {tuple(found.shape)}; it has to be the same shape."
    if torch.allclose(found[: 6], positions[:10].roll(-4, 0)[:6], atol=1e-4) and not torch.allclose(found, positions[4:14], atol=1e-4):
        return "rows were moved within the tensor; the last rows have no neighbour to take, so turn each row by itself."
    if torch.allclose(answer(positions[20:30], 4), positions[16:26], atol=1e-4):
        return "it walks back instead of on: one of the two signs in the rotation is the wrong way round."
    if not torch.allclose(found, positions[4:14], atol=1e-4):
        return "the first ten positions, shifted by 4, are not positions 4 to 13; does every hand turn by its own frequency?"
    if not torch.allclose(answer(positions[30:40], -7), positions[23:33], atol=1e-4):
        return "positive offsets are right, negative ones are not."
    return None


@exercise(
    "1.3",
    hints=(
        "Compute scores as in `attention`; what is new is which of them may count.",
        "`torch.arange(tokens) < lengths[:, None]` is True for real keys, of shape (batch, tokens); it needs a dimension for the queries.",
        "`scores.masked_fill(~real[:, None, :], -torch.inf).softmax(-1) @ values`: the mask comes before the softmax.",
    ),
)
def padded_attention(answer):
    queries, keys, values = _random(3, 5, 4, seed=1), _random(3, 5, 4, seed=2), _random(3, 5, 2, seed=3)
    lengths = torch.tensor([5, 3, 1])
    found = answer(queries, keys, values, lengths)
    if found is None:
        return NOTHING
    if not torch.is_tensor(found):
        return f"it has to return the context alone, a tensor, not {type(found).__name__}."
    if tuple(found.shape) != (3, 5, 2):
        return f"the context has the shape {tuple(found.shape)}; for values of shape (3, 5, 2) it has to be (3, 5, 2)."
    real = torch.arange(5) < lengths[:, None]
    scores = queries @ keys.transpose(1, 2) / 2
    same = lambda tensor: torch.allclose(found, tensor, atol=1e-5)
    right = scores.masked_fill(~real[:, None, :], -torch.inf).softmax(-1) @ values
    if same(right):
        return None
    if torch.isnan(found).any():
        return "the context contains `nan`: some query is left without any key it may look at; mask keys (columns), not queries (rows)."
    if same(scores.softmax(-1) @ values):
        return "the padding still gets weight: `lengths` has no effect."
    if same((scores.softmax(-1) * real[:, None, :]) @ values):
        return "the mask comes after the softmax, so the weights of a short sentence no longer add up to one; mask the scores."
    if same((scores * real[:, None, :]).softmax(-1) @ values):
        return "a score of zero is not 'nothing': exp(0) is 1, so the padding still gets weight; fill with minus infinity."
    if same((scores * 2).masked_fill(~real[:, None, :], -torch.inf).softmax(-1) @ values):
        return "the mask is right; the scores have to be divided by the square root of the size."
    return "the context is not right for sentences of length 5, 3 and 1; is the comparison `<` and the mask over the keys?"


@exercise(
    "1.4",
    hints=(
        "A linear layer from a to b has a · b weights and b biases.",
        "Attention has four square linear layers, the feed-forward network two, and there are two normalisations.",
        "4 · (width² + width) + (width · hidden + hidden) + (hidden · width + width) + 2 · 2 · width.",
    ),
)
def encoder_layer_size(answer):
    for width, heads, hidden in [(8, 2, 16), (12, 3, 5), (512, 8, 2048)]:
        found = answer(width, hidden)
        if found is None:
            return NOTHING
        right = sum(p.numel() for p in layers.EncoderLayer(width, heads, hidden).parameters())
        if found == right:
            continue
        asked = f"for width {width} and hidden {hidden}"
        if found == right - 5 * width - hidden:
            return f"{asked} the biases of the six linear layers are missing."
        if found == right - 4 * width:
            return f"{asked} the two normalisations are missing; each has two vectors, a scale and a shift."
        if found == right - 2 * width:
            return f"{asked} each normalisation has two vectors, a scale and a shift, and only one is counted."
        if found == right - width * width - width:
            return f"{asked} a square layer is missing: queries, keys, values, and the one that mixes the heads."
        return f"{asked} it gives {found:,}, and the layer has {right:,} parameters."
    return None


def _walk(table):
    return lambda sequence: [math.log(p) if p else -math.inf for p in table[sequence[-1]]]


@exercise(
    "1.5",
    hints=(
        "Keep pairs (total log-probability, sequence). A step makes every unfinished pair longer by every possible id.",
        "Sort all the longer ones by their total, keep the best `beams`, and set aside those that end in `end` or are `longest` long.",
        "Go on until nothing is unfinished, then return the sequence with the highest total among those set aside.",
    ),
)
def beam_search(answer):
    # From 0 the best first step is 1, behind which everything is poor; 2 looks worse and leads on with certainty.
    trap = {0: [0, 0.55, 0.45, 0], 1: [0, 0.35, 0.35, 0.3], 2: [0, 0, 0, 1.0], 3: [1.0, 0, 0, 0]}
    found = answer(_walk(trap), 0, 3, 2, 5)
    if found is None:
        return NOTHING
    if not isinstance(found, list) or not found or found[0] != 0:
        return "it has to return a list of ids that begins with `start`."
    if found == [0, 1, 3] or found[:2] == [0, 1]:
        return "with two beams it still walks into the trap of the best first step: keep several sequences, and compare their totals."
    if found != [0, 2, 3]:
        return f"it returns {found} where [0, 2, 3] has the highest probability."
    if answer(_walk(trap), 0, 3, 1, 5)[:2] != [0, 1]:
        return "with a single beam it has to do the same as greedy writing, and take the best first step."
    loop = {0: [0, 1.0, 0], 1: [0, 0.9, 0.1], 2: [1.0, 0, 0]}
    found = answer(_walk(loop), 0, 2, 1, 4)
    if len(found) > 4:
        return f"with longest = 4 it returns {len(found)} ids; stop at `longest`, `start` included."
    if found != [0, 1, 1, 1]:
        return f"with one beam and longest = 4 it returns {found}; greedy writing gives [0, 1, 1, 1], unfinished."
    return None


@exercise(
    "1.6",
    hints=(
        "Begin with the causal mask: `torch.ones(length, length, dtype=torch.bool).tril()`.",
        "Which columns may *every* row see? Those of the prompt.",
        "Set `allowed[:, :prefix] = True` and leave the rest causal.",
    ),
)
def prefix_mask(answer):
    for length, prefix in [(6, 3), (5, 0), (4, 4)]:
        found = answer(length, prefix)
        if found is None:
            return NOTHING
        if not torch.is_tensor(found) or found.dtype != torch.bool or tuple(found.shape) != (length, length):
            return f"for length {length} it has to return a boolean tensor of shape ({length}, {length})."
        right = torch.tensor([[j <= i or j < prefix for j in range(length)] for i in range(length)])
        if torch.equal(found, right):
            continue
        case = f"for length {length} and prefix {prefix}"
        if torch.equal(found, ~right):
            return f"{case} the sense is inverted: True means 'may look'."
        if torch.equal(found, torch.ones(length, length, dtype=torch.bool).tril()):
            return f"{case} it is the plain causal mask: the tokens of the prompt do not see one another."
        row, column = (found != right).nonzero()[0].tolist()
        may = "has to see" if right[row, column] else "must not see"
        return f"{case}, token {row} {may} token {column}."
    return None
