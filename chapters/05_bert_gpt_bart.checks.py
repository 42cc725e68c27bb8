"""Judges and hints of chapter 5."""

from utils.exercises import exercise


@exercise(
    "5.1",
    hints=(
        "Three cases for the inputs, and one condition for the labels; nothing happens to a token that was not chosen.",
        "Each case is a boolean mask: `chosen & (dice < 0.8)` and `chosen & (dice >= 0.8) & (dice < 0.9)`.",
        "`torch.where(mask, new, old)` twice for the inputs, and `ids.masked_fill(~chosen, -100)` for the labels.",
    ),
)
def judge_blanks(blanks):
    import torch

    ids, words = torch.tensor([10, 11, 12, 13, 14]), torch.tensor([20, 21, 22, 23, 24])
    chosen, dice = torch.tensor([True, True, True, False, True]), torch.tensor([0.1, 0.85, 0.95, 0.2, 0.8])
    before = ids.clone()
    answer = blanks(ids, chosen, dice, words, 4)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if not isinstance(answer, tuple) or len(answer) != 2:
        return "return two tensors, the inputs and the labels."
    if not torch.equal(ids, before):
        return "the function changes `ids` itself; the labels need the words that stood there, so work on a copy."
    inputs, labels = answer
    if inputs.tolist()[3] != 13:
        return "the fourth token was not chosen and has to stay as it is, whatever its dice says."
    if inputs.tolist() != [4, 21, 12, 13, 24]:
        return f"with dice of .1, .85, .95 and .8 on chosen tokens the inputs are [4, 21, 12, 13, 24], not {inputs.tolist()}."
    if labels.tolist() == [10, 11, -100, -100, 14]:
        return "the third token was chosen and kept: it stays visible, and is asked for all the same."
    if labels.tolist() != [10, 11, 12, -100, 14]:
        return f"the labels are the original ids of all chosen tokens and -100 elsewhere, [10, 11, 12, -100, 14], not {labels.tolist()}."
    return None


@exercise(
    "5.2",
    hints=(
        "Read the target first: which words follow each name, up to the next name?",
        "A dictionary from name to list of words; then go through the inputs and put the list where the name stands.",
        "`spans.get(word, [])` gives nothing for a gap that the target does not mention.",
    ),
)
def judge_fill_gaps(fill_gaps):
    answer = fill_gaps("the <extra_id_0> sat on <extra_id_1> .".split(), "<extra_id_0> cat <extra_id_1> the mat <extra_id_2>".split())
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if not isinstance(answer, list):
        return f"return a list of words, not {type(answer).__name__}."
    if any(str(word).startswith("<extra_id_") for word in answer):
        return f"the names of the gaps are still in the text: {answer}."
    if answer != "the cat sat on the mat .".split():
        return f"the text is 'the cat sat on the mat .', not {' '.join(map(str, answer))!r}."
    if (answer := fill_gaps("a <extra_id_0> b <extra_id_1>".split(), "<extra_id_1> c".split())) != ["a", "b", "c"]:
        return f"a gap that the target does not mention stays empty: ['a', 'b', 'c'], not {answer}."
    return None


@exercise(
    "5.3",
    hints=(
        "Write down one layer first: query, key, value and output, each width × width with a bias.",
        "The feed-forward network has width × inner + inner and inner × width + width; a norm has 2 × width.",
        "`(vocabulary + positions + segments) * width + norm + layers * (4 * (width**2 + width) + 2 * width * inner + inner + width + 2 * norm)`.",
    ),
)
def judge_bert_parameters(bert_parameters):
    answer = bert_parameters(768, 12, 3072, 30522, 512)
    right = 108_891_648
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if answer == right + 768**2 + 768:
        return "the pooler is in it; it is not asked for."
    if answer == right - 2 * 768:
        return "the norm behind the embeddings is missing."
    if right - answer in (2 * 768 * n for n in range(12, 25)):
        return "a layer has two norms, each with a scale and a shift of the width."
    if answer != right:
        return f"BERT base has {right:,} without pooler, not {answer:,}; a difference of {answer - right:+,}."
    if (answer := bert_parameters(4, 1, 8, 10, 6, 1)) != 248:
        return f"width 4, one layer, 8 inside, 10 words, 6 positions and one segment make 248, not {answer}."
    return None


@exercise(
    "5.4",
    hints=(
        "The logarithm of c·x^p is log c + p·log x: a straight line.",
        "Its slope by least squares is the covariance of the logarithms divided by the variance of log x.",
        "`np.polyfit(np.log(x), np.log(y), 1)[0]` does it as well.",
    ),
)
def judge_exponent(exponent):
    import numpy as np

    x = np.array([1.0, 2.0, 4.0, 8.0])
    answer = exponent(x, 3 * x**2)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if abs(answer - np.polyfit(x, 3 * x**2, 1)[0]) < 1e-6:
        return "this is the slope on ordinary paper; take the logarithm of both first."
    if abs(answer - 2) > 1e-6:
        return f"for y = 3·x² the exponent is 2, not {answer:.4g}."
    y = [5.0, 2.4, 1.4, 0.6]
    if abs((answer := exponent([10, 20, 40, 80], y)) - np.polyfit(np.log([10, 20, 40, 80]), np.log(y), 1)[0]) > 1e-6:
        return f"for points beside the line take least squares over all of them; {answer:.4g} is not it."
    return None


@exercise(
    "5.5",
    hints=(
        "f counts tokens, P averages probabilities; both are vectors with one number for each expert.",
        "`one_hot(chances.argmax(-1), experts).float().mean(0)` is f, and `chances.mean(0)` is P.",
        "Multiply the two, add up, and multiply by the number of experts.",
    ),
)
def judge_balance_loss(balance_loss):
    import torch

    chances = torch.tensor([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]], requires_grad=True)
    answer = balance_loss(chances)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    if not isinstance(answer, torch.Tensor) or answer.dim():
        return "return one number, as a tensor without dimensions."
    right = 3 * (0.75 * 0.475 + 0.25 * 0.35)
    if abs(answer.item() - right / 3) < 1e-4:
        return "the factor E, the number of experts, is missing."
    if abs(answer.item() - 3 * sum(p * p for p in (0.475, 0.35, 0.175))) < 1e-4:
        return "f is the share of the tokens that go to an expert, each token to one; you used the mean probabilities twice."
    if abs(answer.item() - right) > 1e-4:
        return f"for the four tokens of the test the loss is {right:.4f}, not {answer.item():.4f}."
    if not answer.requires_grad:
        return "no gradient reaches the router; f is a count and has none, but P has to keep its gradient."
    return None


@exercise(
    "5.6",
    hints=(
        "First make one long row, then cut it.",
        "After every text comes `end`, after the last one too.",
        "`range(0, len(row) - length + 1, length)` begins only windows that can be filled.",
    ),
)
def judge_pack(pack):
    answer = pack([[1, 2, 3], [4], [5, 6]], 3, 0)
    if answer is None:
        return "the function returns nothing yet; end it with a `return`."
    answer = [list(window) for window in answer]
    if answer == [[1, 2, 3], [4, 5, 6]]:
        return "the end tokens are missing: without them nobody can tell where a text stops."
    if answer != [[1, 2, 3], [0, 4, 0], [5, 6, 0]]:
        return f"the texts 1 2 3, 4 and 5 6 in windows of 3 give [[1, 2, 3], [0, 4, 0], [5, 6, 0]], not {answer}."
    if (answer := [list(window) for window in pack([[1, 2, 3]], 3, 0)]) != [[1, 2, 3]]:
        return f"what does not fill a window is dropped: 1 2 3 and its end token give [[1, 2, 3]], not {answer}."
    if (answer := list(pack([[1]], 3, 0))) != []:
        return f"a row shorter than a window gives no window at all, not {answer}."
    return None
