"""Judges and hints of chapter 12."""

from utils.exercises import exercise

NOTHING = "the function returns nothing yet; end it with a `return`."


@exercise(
    "12.1",
    hints=(
        "Go through the folds one by one: the rows of this fold get means that the rows of the other folds make.",
        "For a value in this fold: average the labels where `folds != fold` and `values == value`.",
        "If there is no such row, take `labels[folds != fold].mean()`; write the mean to the rows of this fold that have the value.",
    ),
)
def judge_out_of_fold_means(out_of_fold_means):
    import numpy as np

    values = np.array(["a", "a", "b", "a", "b", "c"])
    labels, folds = np.array([1, 0, 1, 1, 0, 0]), np.array([0, 0, 0, 1, 1, 1])
    answer = out_of_fold_means(values, labels, folds)
    if answer is None:
        return NOTHING
    answer = np.asarray(answer, dtype=float)
    if answer.shape != (6,):
        return f"there should be one mean for each of the 6 rows; the shape is {answer.shape}."
    if np.allclose(answer, [2 / 3, 2 / 3, 1 / 2, 2 / 3, 1 / 2, 0]):
        return "a row's own label is in its mean: this is the leak. Use the rows of the other folds only."
    if np.allclose(answer, [1 / 2, 1 / 2, 1, 1, 0, 0]):
        return "the means come from the row's own fold; they have to come from the other folds."
    if np.isnan(answer[5]):
        return "the value 'c' is in no other fold: give it the mean label of all rows in the other folds, not NaN."
    if np.allclose(answer[:5], [1, 1, 0, 1 / 2, 1]) and not np.isclose(answer[5], 2 / 3):
        return f"the value 'c' is in no other fold: it should get the mean label of the other folds, 0.667, not {answer[5]:.3f}."
    if not np.allclose(answer, [1, 1, 0, 1 / 2, 1, 2 / 3]):
        return f"for values a a b a b c, labels 1 0 1 1 0 0 and folds 0 0 0 1 1 1 it gives {answer.round(3).tolist()}; it should be [1, 1, 0, 0.5, 1, 0.667]."
    return None


@exercise(
    "12.2",
    hints=(
        "You need the mean of the differences and their variance with n − 1 in the denominator (`ddof=1`).",
        "The variance is multiplied by 1/n + test_rows/train_rows. Without the second part it is the ordinary t-test.",
        "`d.mean() / sqrt(d.var(ddof=1) * (1 / n + test_rows / train_rows))`; return 0 when the variance is 0.",
    ),
)
def judge_corrected_t(corrected_t):
    import numpy as np

    d = np.array([0.02, 0.01, 0.03, -0.01, 0.02])
    answer = corrected_t(d, 800, 200)
    if answer is None:
        return NOTHING
    answer = float(answer)
    right = d.mean() / np.sqrt(d.var(ddof=1) * (1 / 5 + 1 / 4))
    if np.isclose(answer, d.mean() / np.sqrt(d.var(ddof=1) / 5)):
        return "this is the ordinary t-test; add test_rows/train_rows to 1/n."
    if np.isclose(answer, d.mean() / np.sqrt(d.var() * (1 / 5 + 1 / 4))):
        return "the variance has to be divided by n − 1: `var(ddof=1)`."
    if np.isclose(answer, d.mean() / np.sqrt(d.var(ddof=1) * (1 / 5 + 4))):
        return "it is test_rows / train_rows, not the other way round."
    if np.isclose(answer, d.mean() / (d.var(ddof=1) * (1 / 5 + 1 / 4))):
        return "the square root of the variance is missing."
    if not np.isclose(answer, right):
        return f"for the differences {d.tolist()} with 800 and 200 rows it gives {answer:.3f}; it should be {right:.3f}."
    zero = corrected_t(np.zeros(4), 800, 200)
    if zero is None or not float(zero) == 0:
        return "when all differences are 0 it should return 0."
    return None


@exercise(
    "12.3",
    hints=(
        "Each step leaves gamma − mask of every feature; the steps multiply.",
        "The product runs over the steps, the first dimension.",
        "`(gamma - masks).prod(dim=0)`: for no steps at all the product is 1, as it should be.",
    ),
)
def judge_usable(usable):
    import torch

    masks = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    answer = usable(masks, 1.5)
    if answer is None:
        return NOTHING
    if not isinstance(answer, torch.Tensor) or answer.shape != (3,):
        return f"the answer has to be a tensor with one number for each of the 3 features, not {getattr(answer, 'shape', type(answer).__name__)}."
    if torch.allclose(answer, 1.5 - masks.sum(0)):
        return "the masks are added up; each step multiplies what is left by gamma − mask."
    if torch.allclose(answer, (1 - masks).prod(0)):
        return "gamma does not come in: it is gamma − mask, not 1 − mask."
    if torch.allclose(answer, 1.5 - masks[-1]):
        return "only the last step counts here; multiply over all steps so far."
    if not torch.allclose(answer, (1.5 - masks).prod(0)):
        return f"for masks [1, 0, 0] and [0, 0.5, 0.5] and gamma 1.5 it gives {answer.tolist()}; it should be [0.75, 1.5, 1.5]."
    empty = usable(torch.zeros(0, 3), 1.5)
    if empty is None or empty.shape != (3,) or not torch.allclose(empty, torch.ones(3)):
        return "before the first step, for masks of shape (0, 3), everything is usable: three ones."
    return None


@exercise(
    "12.4",
    hints=(
        "First undo the logarithm of both arrays: `np.exp`.",
        "R² is 1 − (sum of squared errors) / (sum of squared distances of the truth from its mean), on prices.",
        "The mean is that of the prices, not the exponential of the mean logarithm.",
    ),
)
def judge_r2_of_prices(r2_of_prices):
    import numpy as np

    truth, predicted = np.log([100.0, 200.0, 400.0, 1000.0]), np.log([120.0, 180.0, 500.0, 800.0])
    answer = r2_of_prices(truth, predicted)
    if answer is None:
        return NOTHING
    answer, prices, guessed = float(answer), np.exp(truth), np.exp(predicted)

    def r2(t, p, mean):
        return 1 - ((t - p) ** 2).sum() / ((t - mean) ** 2).sum()

    if np.isclose(answer, r2(truth, predicted, truth.mean())):
        return "this is R² of the logarithms; take the exponential of both first."
    if np.isclose(answer, r2(prices, guessed, np.exp(truth.mean()))):
        return "the mean has to be that of the prices, not the exponential of the mean logarithm."
    if np.isclose(answer, r2(guessed, prices, guessed.mean())):
        return "truth and prediction are swapped: the variance in the denominator is that of the true prices."
    if not np.isclose(answer, r2(prices, guessed, prices.mean())):
        return f"for the prices 100, 200, 400, 1000 and the predictions 120, 180, 500, 800 it gives {answer:.3f}; it should be {r2(prices, guessed, prices.mean()):.3f}."
    return None


@exercise(
    "12.5",
    hints=(
        "Measure the accuracy once with the intact features; then once for each column, with that column alone shuffled.",
        "Copy the features before shuffling: `mixed = features.copy()`, then `mixed[:, column] = generator.permutation(mixed[:, column])`.",
        "The importance is intact − shuffled, so that a column that matters gets a positive number.",
    ),
)
def judge_permutation_importance(permutation_importance):
    import numpy as np

    draw = np.random.default_rng(0)
    features = draw.integers(0, 2, size=(400, 3)).astype(float)
    labels, before = features[:, 1].astype(int), features.copy()

    def predict(rows):
        return rows[:, 1].astype(int)

    answer = permutation_importance(predict, features, labels, np.random.default_rng(1))
    if answer is None:
        return NOTHING
    if not np.array_equal(features, before):
        return "the caller's features are changed afterwards; shuffle a copy."
    answer = np.asarray(answer, dtype=float)
    if answer.shape != (3,):
        return f"there should be one number for each of the 3 columns; the shape is {answer.shape}."
    if answer[1] < 0:
        return "the sign is the wrong way round: a column that matters should get a positive number."
    if answer[1] > 0.9 or np.isclose(answer[0], 1):
        return "return the fall of the accuracy, intact − shuffled, not the accuracy itself."
    if np.allclose(answer, 0):
        return "shuffling changes nothing: is the shuffled column put back into what `predict` gets?"
    if not np.allclose(answer[[0, 2]], 0):
        return "columns that the model does not look at should get 0; shuffle one column at a time, starting from the intact features."
    if not 0.4 < answer[1] < 0.6:
        return f"a model that copies a fair coin in column 1 should lose about half of its accuracy there, not {answer[1]:.2f}; shuffle among all rows."
    return None
