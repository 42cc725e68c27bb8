"""The small models for text: loaded offline as chapters load them, they do what their cards say, measured on a small part."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from utils import assets
from utils.book import models
from utils.embedded import cldr


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
