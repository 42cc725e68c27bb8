"""How good a detector and a segmenter are: boxes compared, COCO's average precision, mean intersection over union.

Imported by chapters and by recipes of small models. Boxes are corners, x0, y0, x1, y1, as the library's
`post_process_object_detection` returns them; `corners` makes them of COCO's x, y, width, height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())  # of intersection over union, as COCO averages over them
RECALLS = np.linspace(0, 1, 101)  # where COCO reads the precision
MOST = 100  # detections of a class in a picture that count, the surest ones


def corners(boxes) -> np.ndarray:
    """COCO's boxes, x, y, width, height → x0, y0, x1, y1; both (boxes, 4)."""
    boxes = _boxes(boxes)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def box_iou(one, other) -> np.ndarray:
    """Intersection over union of each box of one list with each of the other: (n, 4) and (m, 4) corners → (n, m), 0 to 1."""
    return _overlap(one, other)[0]


def box_giou(one, other) -> np.ndarray:
    """Generalised IoU (Rezatofighi et al., 2019), -1 to 1: IoU less the share of the smallest box around both that neither fills."""
    iou, union, around = _overlap(one, other)
    return iou - np.divide(around - union, around, out=np.zeros_like(around), where=around > 0)


def _overlap(one, other) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each pair: IoU, area of the union, area of the smallest box around both."""
    a, b = _boxes(one)[:, None], _boxes(other)[None]
    both = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(-1)
    around = (np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both
    return np.divide(both, union, out=np.zeros_like(union), where=union > 0), union, around


def average_precision(found: Sequence[Mapping], truth: Sequence[Mapping], threshold: float = 0.5) -> dict[int, float]:
    """COCO's average precision of each class that is in the truth, 0 to 1, at one threshold of IoU.

    found: for each picture "boxes" (n, 4) corners, "labels" (n,), "scores" (n,), arrays or tensors; truth: the same
    pictures, without scores. Within a picture and a class the surest detection chooses first, the box with which its IoU
    is largest among those nobody chose yet; without one of at least `threshold` it is a false positive, and so is a second
    detection of the same thing. Over all pictures, from the surest on: precision, made monotone, read at 101 recalls.
    ValueError when the two lists are of different lengths.
    """
    if len(found) != len(truth):
        raise ValueError(f"Detections of {len(found)} pictures cannot be compared with the truth of {len(truth)}: give one entry for each.")
    found = [{key: np.asarray(one[key]) for key in ("boxes", "labels", "scores")} for one in found]
    truth = [{key: np.asarray(one[key]) for key in ("boxes", "labels")} for one in truth]
    classes = sorted({int(label) for one in truth for label in one["labels"]})
    return {label: _average_precision(found, truth, label, threshold) for label in classes}


def _average_precision(found: list[dict], truth: list[dict], label: int, threshold: float) -> float:
    scores, hits, wanted = [], [], 0
    for detected, real in zip(found, truth, strict=True):
        objects = _boxes(real["boxes"])[real["labels"] == label]
        wanted += len(objects)
        mine = [k for k in np.argsort(-detected["scores"], kind="stable") if detected["labels"][k] == label][:MOST]
        iou, free = box_iou(_boxes(detected["boxes"])[mine], objects), np.ones(len(objects), dtype=bool)
        for row in iou:
            best = int(np.where(free, row, -1).argmax()) if free.any() else -1
            hit = best >= 0 and row[best] >= threshold
            hits.append(hit)
            if hit:
                free[best] = False
        scores.extend(detected["scores"][mine])
    if not hits:
        return 0.0
    right = np.cumsum(np.array(hits)[np.argsort(-np.array(scores), kind="stable")])
    recall, precision = right / wanted, right / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]  # the best that is still to come
    place = np.searchsorted(recall, RECALLS - 1e-9)  # the first detection with at least this recall
    return float(np.append(precision, 0.0)[place].mean())


def coco(found: Sequence[Mapping], truth: Sequence[Mapping]) -> dict[str, float]:
    """COCO's three first numbers, means over the classes: "AP" (over IoU .50, .55, … .95 as well), "AP50" and "AP75".

    Arguments as `average_precision` takes them. Every object counts, whatever its size.
    """
    means = {t: float(np.mean(list(average_precision(found, truth, t).values()) or [0.0])) for t in THRESHOLDS}
    return {"AP": float(np.mean(list(means.values()))), "AP50": means[0.5], "AP75": means[0.75]}


def class_iou(predicted, truth, classes: int) -> np.ndarray:
    """Intersection over union of the pixels of each class, over all pictures together: (classes,), NaN where a class is in neither.

    predicted, truth: the number of the class of each pixel, two arrays of one shape; truth below 0 or 255 is left out.
    """
    predicted, truth = np.asarray(predicted).ravel().astype(np.int64), np.asarray(truth).ravel().astype(np.int64)
    if predicted.shape != truth.shape:
        raise ValueError(
            f"Masks of {predicted.size:,} and of {truth.size:,} pixels: resize the prediction to the truth's height and width."
        )
    known = (truth >= 0) & (truth != 255)
    table = np.bincount(truth[known] * classes + predicted[known], minlength=classes**2).reshape(classes, classes)
    both, union = np.diag(table), table.sum(0) + table.sum(1) - np.diag(table)
    return np.where(union > 0, both / np.maximum(union, 1), np.nan)


def mean_iou(predicted, truth, classes: int) -> float:
    """The mean of `class_iou` over the classes that are there: every class counts the same, however few its pixels."""
    return float(np.nanmean(class_iou(predicted, truth, classes)))


def _boxes(boxes) -> np.ndarray:
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
