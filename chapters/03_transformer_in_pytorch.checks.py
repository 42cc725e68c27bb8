"""Judges and hints of chapter 3."""

from utils.exercises import exercise

NOTHING = "the function returns nothing yet; end it with a `return`."


@exercise(
    "3.1",
    hints=(
        "The causal mask depends on the number of tokens only, the padding mask on the ids only.",
        "`torch.ones(n, n, dtype=torch.bool)` is True everywhere; `triu(1)` keeps what lies above the diagonal.",
        "causal = torch.ones(n, n, dtype=torch.bool).triu(1), and padding = ids == pad.",
    ),
)
def judge_masks(masks):
    import torch

    ids = torch.tensor([[5, 6, 7, 9], [5, 9, 9, 9]])
    answer = masks(ids, 9)
    if answer is None:
        return NOTHING
    if not (isinstance(answer, tuple | list) and len(answer) == 2 and all(isinstance(a, torch.Tensor) for a in answer)):
        return "return two tensors, first the causal mask, then the padding mask."
    causal, padding = answer
    for name, mask, shape in (("causal", causal, (4, 4)), ("padding", padding, (2, 4))):
        if mask.dtype != torch.bool:
            return f"the {name} mask has the type {mask.dtype}; it has to be boolean."
        if tuple(mask.shape) != shape:
            return f"for ids of the shape (2, 4) the {name} mask has the shape {tuple(mask.shape)}; it should have {shape}."
    future = torch.ones(4, 4, dtype=torch.bool).triu(1)
    if torch.equal(causal, ~future):
        return "the causal mask is the wrong way round: these modules want True for what is forbidden."
    if torch.equal(causal, torch.ones(4, 4, dtype=torch.bool).triu()):
        return "the causal mask forbids a token to look at itself; then the first one has nothing to look at."
    if not torch.equal(causal, future):
        return "the causal mask has to forbid what comes later, and nothing else."
    if torch.equal(padding, ids != 9):
        return "the padding mask is the wrong way round: True has to stand for filling."
    if not torch.equal(padding, ids == 9):
        return "the padding mask has to be True exactly where the id is `pad` (9 in this test)."
    return None


@exercise(
    "3.2",
    hints=(
        "`torch.autograd.functional.jacobian(model, x)` has the shape (tokens, width, tokens, width): outputs first.",
        "Reduce the two widths, for example with `.abs().amax(dim=(1, 3))`, and look above the diagonal.",
        "`bool((strength.triu(1) > 0).any())` says whether any output depends on a later input.",
    ),
)
def judge_leaks(leaks):
    import torch

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3, generator=generator)
    past = torch.ones(5, 5).tril() / torch.arange(1, 6)[:, None]
    late = past.clone()
    late[3, 4] = 1e-6
    only_future = torch.ones(5, 5).triu(1)
    cases = [
        ("a mean over the past", lambda x: past @ x, False),
        ("a mean over everything", lambda x: (torch.ones(5, 5) / 5) @ x.tanh(), True),
        ("one tiny look ahead, from position 3 to 4", lambda x: late @ x, True),
        ("a look at the past only, never at itself", lambda x: only_future.T @ x, False),
        ("a look ahead of opposite signs in two numbers", lambda x: x.roll(-1, 0) * torch.tensor([1.0, -1.0, 0.0]), True),
    ]
    for name, model, right in cases:
        answer = leaks(model, x)
        if answer is None:
            return NOTHING
        if bool(answer) != right:
            return f"for {name} it says {bool(answer)}; it should say {right}."
    return None


@exercise(
    "3.3",
    hints=(
        "Only names with `.layers.` and a number behind it belong to a stack.",
        "A layer has many tensors: collect the different numbers of each stack in a set.",
        'With `re.match(r"(\\w+)\\.layers\\.(\\d+)\\.", name)` the groups are the stack and the number; return the sizes of the sets.',
    ),
)
def judge_layers_in(layers_in):
    parts = ("self_attn.in_proj_weight", "linear1.weight", "norm1.bias")
    names = [f"encoder.layers.{n}.{p}" for n in range(12) for p in parts] + [f"decoder.layers.{n}.{p}" for n in range(2) for p in parts]
    names += ["embed.table.weight", "encoder.norm.weight", "head.bias"]
    answer = layers_in(names)
    if answer is None:
        return NOTHING
    if not isinstance(answer, dict):
        return f"return a dictionary from the stack to its number of layers, not {type(answer).__name__}."
    if answer == {"encoder": 36, "decoder": 6}:
        return "it counts tensors; each layer has several of them and counts once."
    if answer == {"encoder": 11, "decoder": 1}:
        return "it returns the largest number; numbers begin at 0, so there is one layer more."
    if answer.get("encoder") == 10:
        return "layers with two digits are counted as one digit: 12 layers became 10."
    if set(answer) != {"encoder", "decoder"}:
        return f"it finds the stacks {sorted(answer)}; there are two, encoder and decoder."
    if answer != {"encoder": 12, "decoder": 2}:
        return f"for 12 encoder and 2 decoder layers it returns {answer}."
    if layers_in(["head.weight"]) != {}:
        return "for a checkpoint without stacks it should return an empty dictionary."
    return None


@exercise(
    "3.4",
    hints=(
        "Divide by the temperature first, choose the largest, and only then take the softmax.",
        "`topk(top)` gives values and indices; the softmax over these values adds up to one.",
        "Begin with `torch.zeros_like(logits)` and put the probabilities at `chosen.indices`.",
    ),
)
def judge_next_probabilities(next_probabilities):
    import torch

    logits = torch.tensor([1.0, 4.0, 2.0, 3.0, -1.0])
    given = logits.clone()
    answer = next_probabilities(logits, 0.5, 2)
    if answer is None:
        return NOTHING
    if not torch.equal(logits, given):
        return "it changes the logits it was given; work on a copy."
    if not isinstance(answer, torch.Tensor) or answer.shape != logits.shape:
        return f"the answer needs one probability for each of the {len(logits)} tokens."
    right = torch.zeros(5)
    right[[1, 3]] = torch.tensor([8.0, 6.0]).softmax(-1)
    if torch.allclose(answer, right, atol=1e-6):
        if not torch.allclose(next_probabilities(logits, 1.0, 5), logits.softmax(-1), atol=1e-6):
            return "with all tokens and temperature 1 it should be the softmax of the logits."
        return None
    if (answer > 0).sum() != 2:
        return f"for top = 2 there are {int((answer > 0).sum())} tokens with a probability above zero."
    if abs(answer.sum().item() - 1) > 1e-4:
        return f"the probabilities add up to {answer.sum().item():.3f}: take the softmax after choosing, or divide by the sum."
    wrong = torch.zeros(5)
    for temperature, what in ((1.0, "the temperature is left out"), (2.0, "it multiplies by the temperature; divide by it")):
        wrong[[1, 3]] = (torch.tensor([4.0, 3.0]) / temperature).softmax(-1)
        if torch.allclose(answer, wrong, atol=1e-6):
            return f"{what}."
    return f"for temperature 0.5 the most likely token should have {right[1]:.3f}, not {float(answer[1]):.3f}."


@exercise(
    "3.5",
    hints=(
        "Count the n-grams of both sides; a `Counter` of tuples does it.",
        "`a & b` of two Counters takes the smaller count of each, which is the clipping.",
        "Divide the sum of `(ours & theirs).values()` by the sum of `ours.values()`, and think of too short candidates.",
    ),
)
def judge_clipped_precision(clipped_precision):
    the, cat = "the the the the the the the".split(), "the cat is on the mat".split()
    answer = clipped_precision(the, cat, 1)
    if answer is None:
        return NOTHING
    if abs(answer - 1) < 1e-9:
        return "seven times 'the' scores one: count each n-gram at most as often as the reference has it."
    if abs(answer - 1 / 7) < 1e-9:
        return "each kind of word counts once; the reference has 'the' twice, so two of seven are right."
    if abs(answer - 2 / 6) < 1e-9:
        return "it divides by the n-grams of the reference; divide by those of the candidate."
    if abs(answer - 2 / 7) > 1e-9:
        return f"for seven times 'the' it returns {answer:.3f}; two of seven are right."
    answer = clipped_precision("the cat sat on the mat".split(), cat, 2)
    if abs(answer - 3 / 5) > 1e-9:
        return f"for pairs of words of 'the cat sat on the mat' it returns {answer:.3f}; three of five are right."
    try:
        short = clipped_precision(["the"], cat, 2)
    except ZeroDivisionError:
        return "it divides by zero when the candidate is shorter than n; return 0.0 then."
    return None if short == 0 else f"a candidate of one word has no pairs; return 0.0, not {short}."


@exercise(
    "3.6",
    hints=(
        "The new key goes under the old keys, the new value under the old values: `torch.cat` along the tokens.",
        "The query of the new token looks at all keys, its own included; no mask is needed.",
        "weights = (query @ keys.T / size**0.5).softmax(-1); return weights @ values, (keys, values).",
    ),
)
def judge_attend(attend):
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(4, 6, generator=generator) for _ in range(3))
    right = scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
    kept = None
    for n in range(4):
        answer = attend(q[n : n + 1], k[n : n + 1], v[n : n + 1], kept)
        if answer is None:
            return NOTHING
        if not (isinstance(answer, tuple | list) and len(answer) == 2):
            return "return two things: the context, and the pair to keep."
        context, kept = answer
        if not (isinstance(kept, tuple | list) and len(kept) == 2 and kept[0].shape == (n + 1, 6)):
            return f"after {n + 1} tokens the keys kept should have the shape ({n + 1}, 6)."
        if not torch.equal(torch.as_tensor(kept[0]), k[: n + 1]) or not torch.equal(kept[1], v[: n + 1]):
            return "what is kept should be the keys and the values, oldest first."
        if context.shape != (1, 6):
            return f"the context has the shape {tuple(context.shape)}; it should have (1, 6)."
        if not torch.allclose(context[0], right[n], atol=1e-5):
            unscaled = (q[n : n + 1] @ k[: n + 1].T).softmax(-1) @ v[: n + 1]
            if torch.allclose(context, unscaled, atol=1e-5):
                return "the scores have to be divided by the square root of the size."
            return f"the context of token {n} is not that of causal attention over the whole text."
    return None
