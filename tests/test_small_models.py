"""The small models: loaded offline as chapters load them, they do what their cards say, measured on a small part."""

from __future__ import annotations

import runpy

import pytest
import torch
from rouge_score import rouge_scorer
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForObjectDetection,
    AutoModelForSemanticSegmentation,
    AutoModelForSeq2SeqLM,
    AutoModelForTokenClassification,
    AutoTokenizer,
    pipeline,
)

from utils import assets, detection
from utils.book import models, recipes
from utils.embedded import cldr, people, plates, scenes, summaries


@pytest.fixture(scope="module")
def translator():
    folder = assets.model("embedded/cldr-t5")
    return AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def translate(translator, prefix: str, texts: list[str]) -> list[str]:
    model, tokenizer = translator
    given = tokenizer([prefix + text for text in texts], padding=True, return_tensors="pt")
    return tokenizer.batch_decode(model.generate(**given, max_new_tokens=64, do_sample=False), skip_special_tokens=True)


def test_the_translator_reaches_what_its_card_says_on_unseen_combinations(translator):
    held = cldr.pairs(size=2000)["unseen_combinations"]  # 100 phrases; its split is a matter of the phrase alone
    ways = {"translate English to German: ": ("source", "target"), "translate German to English: ": ("target", "source")}
    right = [
        made == wanted
        for prefix, (here, there) in ways.items()
        for made, wanted in zip(translate(translator, prefix, list(held[here])), held[there], strict=True)
    ]
    assert sum(right) / len(right) == pytest.approx(models.read("cldr-t5").value, abs=0.06)


def test_the_translator_goes_where_its_prefix_says(translator):
    assert translate(translator, "translate English to German: ", ["May 3, 2024"]) == ["3. Mai 2024"]
    assert translate(translator, "translate German to English: ", ["3. Mai 2024"]) == ["May 3, 2024"]


@pytest.fixture(scope="module")
def guesser():
    folder = assets.model("embedded/docs-mlm")
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32)
    return pipeline("fill-mask", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))


def test_the_guesser_of_hidden_words_reaches_what_its_card_says_and_more_than_a_lookup():
    evaluate = runpy.run_path(str(assets.MODELS / "docs-mlm" / "recipe.py"))["evaluate"]
    found = evaluate(assets.model("embedded/docs-mlm"), number=300)
    assert found["value"] == pytest.approx(models.read("docs-mlm").value, abs=0.04)
    assert found["value"] > max(found["control"].values()) + 0.02


def test_the_guesser_of_hidden_words_looks_to_both_sides(guesser):
    given = ("Return the [MASK] of the elements.", "Return the [MASK] if it does not exist.")
    seen = [{g["token_str"] for g in guesser(text, top_k=20)} for text in given]
    assert all(len(found) == 20 for found in seen) and len(seen[0] & seen[1]) < 15


@pytest.fixture(scope="module")
def finder():
    folder = assets.model("embedded/people-ner")
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32)
    # words are taken whole: their pieces do not always agree
    return pipeline("token-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder), aggregation_strategy="average")


def test_the_finder_of_names_is_far_above_a_rule_in_each_language(finder):
    for language in people.LANGUAGES:
        rows = people.load(language)["test"].select(range(120)).to_list()
        gold, ruled, found = [], [], []
        for row, entities in zip(rows, finder([row["text"] for row in rows]), strict=True):
            spans = people.spans(row["ner_tags"])
            ends = [start + len(token) for start, token in zip(row["starts"], row["tokens"], strict=True)]
            gold.append({(row["starts"][a], ends[b - 1], label) for a, b, label in spans})
            found.append({(e["start"], e["end"], e["entity_group"]) for e in entities})
            ruled.append({(row["starts"][a], ends[b - 1], label) for a, b, label in people.spans(people.capitalised(row["tokens"]))})
        assert f1(gold, found) > f1(gold, ruled) + 0.05


def f1(gold: list[set], found: list[set]) -> float:
    return 2 * sum(len(a & b) for a, b in zip(gold, found, strict=True)) / (sum(map(len, gold)) + sum(map(len, found)))


def test_the_finder_of_names_puts_pieces_together(finder):
    found = finder("Mit freundlichen Grüßen, Gertrud Wagner aus Hannover")
    assert all(set(e) >= {"entity_group", "word", "start", "end", "score"} for e in found)
    assert {e["entity_group"] for e in found} <= {"PER", "ORG", "LOC"}


@pytest.mark.parametrize("name", ["digits-cnn", "digits-vit", "digits-deit"])
def test_readers_of_digits_reach_what_their_cards_say_through_their_own_processor(name):
    folder = assets.model(f"embedded/{name}")
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32).eval()
    images, labels, _ = scenes.crops("test", 400, 32)
    given = processor(list(images), return_tensors="pt").pixel_values
    assert torch.allclose(given, recipes.pixels(torch.from_numpy(images)), atol=1e-5)  # what the recipe trained with
    with torch.inference_mode():
        found = model(given).logits.argmax(-1).numpy()
    assert (found == labels).mean() == pytest.approx(models.read(name).value, abs=0.03)
    assert model.config.id2label == {k: str(k) for k in range(10)}


def masks_of(name: str, images) -> list:
    """What a segmenter says of pictures, by the library's own steps, at the pictures' size."""
    folder = assets.model(f"embedded/{name}")
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForSemanticSegmentation.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        found = model(**processor(list(images), return_tensors="pt"))
    return torch.stack(processor.post_process_semantic_segmentation(found, target_sizes=[one.shape[:2] for one in images])).numpy()


def test_the_segmenter_of_dishes_reaches_what_its_card_says():
    dishes = plates.load("test", 30)
    found, real = masks_of("plates-segformer", [one.image for one in dishes]), [one.mask for one in dishes]
    assert detection.mean_iou(found, real, len(plates.LABELS)) == pytest.approx(models.read("plates-segformer").value, abs=0.05)


def test_the_segmenter_of_scenes_reaches_what_its_card_says():
    found = scenes.load("test", 80)
    said = masks_of("scenes-segformer", [one.image for one in found])
    assert detection.mean_iou(said, [one.classes for one in found], 11) == pytest.approx(models.read("scenes-segformer").value, abs=0.06)


@pytest.fixture(scope="module")
def detector():
    folder = assets.model("embedded/scenes-detr")
    model = AutoModelForObjectDetection.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    return model, AutoImageProcessor.from_pretrained(folder)


def test_the_detector_reaches_what_its_card_says(detector):
    model, processor = detector
    found = scenes.load("test", 100)
    with torch.inference_mode():
        said = model(**processor([one.image for one in found], return_tensors="pt"))
    said = processor.post_process_object_detection(said, threshold=0.0, target_sizes=[(64, 64)] * len(found))
    truth = [{"boxes": detection.corners([i.box for i in one.items]), "labels": [i.digit for i in one.items]} for one in found]
    assert detection.coco(said, truth)["AP50"] == pytest.approx(models.read("scenes-detr").value, abs=0.08)


def test_a_query_that_found_a_digit_looks_at_it(detector):
    model, processor = detector
    near = []
    for one in scenes.load("test", 40):
        with torch.inference_mode():
            said = model(**processor(one.image, return_tensors="pt"), output_attentions=True)
        weights = torch.stack(said.cross_attentions)[:, 0].mean((0, 1)).reshape(-1, 8, 8)  # layers and heads → queries, rows, columns
        sure = said.logits[0].softmax(-1)[:, :-1].max(-1).values
        for query in torch.nonzero(sure > 0.7).flatten().tolist():
            x, y = (8 * said.pred_boxes[0, query, :2]).int().clamp(1, 6).tolist()
            near.append(weights[query, y - 1 : y + 2, x - 1 : x + 2].sum().item())
    assert len(near) > 40 and sum(near) / len(near) > 2 * 9 / 64  # an even look would put 9 of 64 there


@pytest.fixture(scope="module")
def summariser():
    folder = assets.model("embedded/docs-summary")
    return AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def summarise(summariser, pairs) -> list[str]:
    model, tokenizer = summariser
    given = tokenizer([p.source for p in pairs], padding=True, truncation=True, return_tensors="pt")
    return tokenizer.batch_decode(model.generate(**given), skip_special_tokens=True)


def test_the_summariser_writes_nearer_to_the_author_than_the_first_sentence(summariser):
    pairs = summaries.pairs("test")[::3]
    scorer = rouge_scorer.RougeScorer(["rougeL"])

    def rouge(texts):
        return sum(scorer.score(p.summary, t)["rougeL"].fmeasure for p, t in zip(pairs, texts, strict=True)) / len(pairs)

    made = summarise(summariser, pairs)
    assert rouge(made) > rouge([p.sentences[0] for p in pairs]) + 0.01
    assert len(set(made)) > 0.8 * len(pairs)  # it does not write one sentence for all


def test_the_summariser_reads_the_name(summariser):
    body = "The file is opened first, and closed at the end."
    one, other = (summaries.Pair("files", name, "", body, ()) for name in ("delete_file", "read_table"))
    assert len(set(summarise(summariser, [one, other]))) == 2
