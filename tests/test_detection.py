"""detection: average precision and mean IoU as one gets them with pencil and paper."""

import numpy as np
import pytest
import torch

from utils import detection

A, B, FAR = (0, 0, 10, 10), (20, 20, 30, 30), (50, 50, 60, 60)


def seen(*rows):
    """One picture's detections from (box, label, score)."""
    boxes, labels, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return {"boxes": np.array(boxes, float).reshape(-1, 4), "labels": np.array(labels, int), "scores": np.array(scores, float)}


def real(*rows):
    return {"boxes": np.array([box for box, _ in rows], float).reshape(-1, 4), "labels": np.array([label for _, label in rows], int)}


def ap(found, truth, threshold=0.5, label=1):
    return detection.average_precision(found, truth, threshold)[label]


def test_iou_of_boxes_that_overlap_touch_contain_and_are_apart():
    iou = detection.box_iou([A], [(5, 0, 15, 10), (10, 0, 20, 10), (0, 0, 5, 10), FAR, A])
    assert iou.tolist() == [pytest.approx([50 / 150, 0, 0.5, 0, 1])]
    assert detection.box_iou([], [A, B]).shape == (0, 2) and detection.box_iou([(3, 3, 3, 3)], [(3, 3, 3, 3)]).item() == 0


def test_generalised_iou_tells_near_from_far():
    # around A and (20, 0, 30, 10) lies a box of 300 of which they fill 200
    assert detection.box_giou([A], [(20, 0, 30, 10), (5, 0, 15, 10), A]).tolist() == [pytest.approx([-1 / 3, 1 / 3, 1])]


def test_cocos_boxes_become_corners():
    assert detection.corners([(3, 4, 10, 20)]).tolist() == [[3, 4, 13, 24]] and detection.corners([]).shape == (0, 4)


def test_everything_found_and_nothing_else_is_one():
    assert ap([seen((A, 1, 0.9), (B, 1, 0.1))], [real((A, 1), (B, 1))]) == 1


def test_a_missing_object_ends_the_curve_at_its_recall():
    # one of two objects: precision 1 at the recalls 0, .01 … .50, which are 51 of 101
    assert ap([seen((A, 1, 0.9))], [real((A, 1), (B, 1))]) == pytest.approx(51 / 101)
    assert ap([seen()], [real((A, 1))]) == 0


def test_a_second_detection_of_the_same_object_is_a_false_positive():
    # right, twice the same, right: precision 1 up to recall .5, then 2 of 3
    found = [seen((A, 1, 0.9), ((0, 0, 10, 9), 1, 0.8), (B, 1, 0.7))]
    assert ap(found, [real((A, 1), (B, 1))]) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_the_wrong_class_is_wrong_twice():
    found, truth = [seen((A, 2, 0.9))], [real((A, 1), (B, 2))]
    assert detection.average_precision(found, truth) == {1: 0.0, 2: 0.0}
    assert detection.coco(found, truth) == {"AP": 0, "AP50": 0, "AP75": 0}


def test_a_class_that_is_not_in_the_truth_has_no_precision():
    assert set(detection.average_precision([seen((A, 1, 0.9), (B, 7, 0.9))], [real((A, 1))])) == {1}


def test_the_order_of_confidence_decides_and_not_the_order_of_the_list():
    truth = [real((A, 1))]
    sure_first = [seen((FAR, 1, 0.2), (A, 1, 0.9))]
    sure_last = [seen((FAR, 1, 0.9), (A, 1, 0.2))]
    assert ap(sure_first, truth) == 1 and ap(sure_last, truth) == 0.5


def test_confidence_orders_over_all_pictures_together():
    # the false one of the second picture is surer than the right one of the first
    found = [seen((A, 1, 0.5)), seen((FAR, 1, 0.6))]
    assert ap(found, [real((A, 1)), real()]) == 0.5


def test_the_surer_detection_chooses_first():
    # the surer one takes the better of two boxes, the other has to take what is left
    truth = [real((A, 1), ((0, 5, 10, 15), 1))]
    assert ap([seen(((0, 1, 10, 11), 1, 0.9), (A, 1, 0.8))], truth) == pytest.approx(51 / 101)


def test_a_box_off_by_a_part_counts_at_the_loose_threshold_alone():
    truth = [real((A, 1))]
    found = [seen(((0, 0, 10, 7), 1, 0.9))]  # IoU .7: right at .50, .55, .60, .65, .70
    assert detection.coco(found, truth) == {"AP": pytest.approx(0.5), "AP50": 1, "AP75": 0}


def test_a_worked_case_of_five_detections_and_three_objects():
    # by confidence: right, wrong, right, wrong, right. Precision 1, 1/2, 2/3, 1/2, 3/5 at recall 1/3, 1/3, 2/3, 2/3, 1;
    # made monotone 1, 2/3, 2/3, 3/5, 3/5. 34 recalls (0 … .33) read 1, 33 (.34 … .66) 2/3, 34 (.67 … 1) 3/5.
    found = [seen((A, 1, 0.9), (FAR, 1, 0.8), (B, 1, 0.7)), seen((FAR, 1, 0.6), (A, 1, 0.5))]
    truth = [real((A, 1), (B, 1)), real((A, 1))]
    assert ap(found, truth) == pytest.approx((34 + 33 * 2 / 3 + 34 * 3 / 5) / 101)


def test_tensors_are_taken_and_lists_of_different_lengths_are_not():
    found = [{"boxes": torch.tensor([A]), "labels": torch.tensor([1]), "scores": torch.tensor([0.9])}]
    assert ap(found, [real((A, 1))]) == 1
    with pytest.raises(ValueError, match="1 pictures cannot be compared with the truth of 2"):
        detection.coco(found, [real((A, 1)), real()])


def test_mean_iou_of_a_mask_counted_by_hand():
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, 2]])
    predicted = np.array([[0, 0, 1, 0], [0, 1, 1, 2]])
    # 0: 3 of 5; 1: 2 of 4; 2: 1 of 1; 3 is nowhere
    assert detection.class_iou(predicted, truth, 4).tolist() == pytest.approx([0.6, 0.5, 1, np.nan], nan_ok=True)
    assert detection.mean_iou(predicted, truth, 4) == pytest.approx(0.7)


def test_a_class_that_is_never_said_counts_as_nought_and_unlabelled_pixels_do_not_count():
    assert detection.mean_iou([0, 0, 0], [0, 0, 1], 2) == pytest.approx((2 / 3 + 0) / 2)
    assert detection.mean_iou([0, 1, 1], [0, 255, -1], 2) == 1
    with pytest.raises(ValueError, match="resize the prediction"):
        detection.mean_iou(np.zeros((2, 2)), np.zeros((4, 4)), 2)
