"""Train embedded/cldr-t5, a small T5 between English and German on the phrases of embedded/cldr.

Run: python data/models/cldr-t5/recipe.py. It writes tokenizer, config and half-precision weights and prints the share of
phrases that it translates character for character, both ways, beside the controls of `utils.embedded.cldr`.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from utils.book import recipes
from utils.embedded import cldr

SHORT = {"steps": 1200, "at_least": 0.2}
PREFIX = {"en-de": "translate English to German: ", "de-en": "translate German to English: "}
PAIRS, VOCABULARY, LONGEST, BATCH = 120_000, 2000, 64, 32
WIDTH, LAYERS, HEADS, HIDDEN = 128, 2, 4, 384


def phrases(size: int = PAIRS) -> tuple[dict[str, Dataset], Dataset]:
    """The held-out splits as `cldr.pairs()` gives them to readers, and more training phrases, none of them in those splits."""
    splits = cldr.pairs()
    held = {name: split for name, split in splits.items() if name != "train"}
    known = {text.casefold() for split in held.values() for side in ("source", "target") for text in split[side]}
    train = cldr.pairs(size=size)["train"]
    return held, train.filter(lambda row: not known & {row["source"].casefold(), row["target"].casefold()})


def both_ways(data: Dataset) -> list[tuple[str, str]]:
    """Pairs of what T5 reads, with its prefix, and what it has to write."""
    rows = list(zip(data["source"], data["target"], strict=True))
    return [(PREFIX["en-de"] + en, de) for en, de in rows] + [(PREFIX["de-en"] + de, en) for en, de in rows]


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-pair encoding with each digit on its own, so that a number never seen is made of pieces that were."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("isolated")]
    )
    bpe.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=special, min_frequency=2, show_progress=False))
    bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=LONGEST,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def start(vocabulary: int) -> T5ForConditionalGeneration:
    """T5 at random, but for keys equal to queries: it begins by looking for the tokens that it has at hand, which is how to copy."""
    config = T5Config(
        vocab_size=vocabulary, d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=HIDDEN, num_layers=LAYERS, num_heads=HEADS, dropout_rate=0.0,
        relative_attention_num_buckets=32, relative_attention_max_distance=64, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        for layer in model.modules():
            if hasattr(layer, "q") and hasattr(layer, "k"):  # T5 does not divide by √d: its queries are that much smaller
                layer.k.weight.copy_(layer.q.weight * config.d_kv**0.5)
    return model


@torch.inference_mode()
def translate(model, tokenizer, texts: list[str], size: int = 128) -> list[str]:
    """Greedy translations of texts with their prefixes."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    found = [""] * len(texts)
    for at in range(0, len(order), size):
        mine = order[at : at + size]
        given = tokenizer([texts[i] for i in mine], padding=True, return_tensors="pt")
        made = model.generate(**given, max_new_tokens=LONGEST, do_sample=False, num_beams=1)
        for i, text in zip(mine, tokenizer.batch_decode(made, skip_special_tokens=True), strict=True):
            found[i] = text
    return found


def exact(model, tokenizer, data: Dataset) -> dict[str, float]:
    """The share of exact translations, one number a direction."""
    pairs, half = both_ways(data), len(data)
    right = [a == b for a, (_, b) in zip(translate(model, tokenizer, [s for s, _ in pairs]), pairs, strict=True)]
    return {"en-de": round(sum(right[:half]) / half, 4), "de-en": round(sum(right[half:]) / half, 4)}


def train(args, folder: Path) -> None:
    """Short phrases for the first tenth of the steps, in which copying is easiest to find, then all."""
    pairs = both_ways(phrases()[1])
    tokenizer = build_tokenizer([text for pair in pairs for text in pair])
    rows = list(zip(*(tokenizer([pair[side] for pair in pairs])["input_ids"] for side in (0, 1)), strict=True))
    model, rng = start(len(tokenizer)), random.Random(args.seed)
    print(f"{model.num_parameters():,} parameters, {len(rows):,} training phrases (both directions)", flush=True)
    short, every = recipes.batches([row for row in rows if len(row[1]) <= 7], BATCH, rng, 40), recipes.batches(rows, BATCH, rng, 40)

    def loss(step: int) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):  # quicker by a quarter where the processor has it
            return model(**next(short if step <= args.steps / 10 else every)).loss

    recipes.fit(model, loss, args.steps, recipes.optimisers(model, rate=1e-2, muon=5e-3, decay=0.0))
    recipes.save(model, tokenizer, folder)


def evaluate(folder: Path) -> dict:
    """Exact translations of the held-out splits, beside those without a model: word for word, and remembered templates."""
    held, seen = phrases()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    found = {name: exact(model, tokenizer, split) for name, split in held.items()}
    print(found, flush=True)
    control = {}
    for name, method in (("word for word", cldr.word_by_word), ("remembered templates", cldr.by_template)):
        ways = [method(seen), method(turned(seen))]
        scores = {n: [cldr.exact(data, way) for way, data in zip(ways, (split, turned(split)), strict=True)] for n, split in held.items()}
        print(name, scores, flush=True)
        control[name] = round(sum(scores["unseen_combinations"]) / 2, 3)
    value = sum(found["unseen_combinations"].values()) / 2
    metric = "exact translations of unseen combinations, mean of both directions"
    return {"metric": metric, "value": round(value, 3), "control": control, "held_out": found}


def turned(data: Dataset) -> Dataset:
    """The same phrases from German to English."""
    return data.rename_columns({"source": "target", "target": "source"})


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=6500, short=SHORT)
