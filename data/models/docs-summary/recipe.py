"""Train embedded/docs-summary, a small T5 that writes the first line of a docstring from its name and the rest.

Run: python data/models/docs-summary/recipe.py. The metric is ROUGE-L on modules kept from training and from tuning, in
per cent; the controls are the first sentence, the name in words and others of `controls`.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from rouge_score import rouge_scorer
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from utils import assets
from utils.book import recipes
from utils.embedded import summaries
from utils.embedded.summaries import Pair

SHORT = {"steps": 250, "at_least": 14, "controls": ("untrained", "one sentence for all")}
VOCABULARY, LONGEST, WRITTEN, BATCH = 6000, 64, 28, 32
WIDTH, HEADS, HIDDEN = 128, 4, 384
WRITING = {"num_beams": 4, "no_repeat_ngram_size": 2, "length_penalty": 1.0, "max_new_tokens": WRITTEN}  # chosen on validation
MEND, BARE = 0.35, 0.5  # shares of the steps until which the first and the second stage last


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-pair encoding, every digit and every mark on its own."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.normalizer = normalizers.NFKC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("isolated")]
    )
    bpe.decoder = decoders.Metaspace()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=["<pad>", "</s>", "<unk>"], min_frequency=2, limit_alphabet=150, show_progress=False
        ),
    )
    bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=LONGEST,
        model_input_names=["input_ids", "attention_mask"],
    )  # fmt: skip


def meanings(tokenizer) -> torch.Tensor:
    """A vector of length √WIDTH for every piece, (pieces, WIDTH): the mean of MiniLM's embeddings of its text, reduced to
    their principal components, and a little noise, so that no two pieces begin as one."""
    folder = Path(assets.model("embedded/minilm-l6"))
    words = next(v for k, v in load_file(folder / "model.safetensors").items() if k.endswith("word_embeddings.weight")).float()
    texts = [tokenizer.convert_ids_to_tokens(i).replace("▁", "") for i in range(len(tokenizer))]
    ids = AutoTokenizer.from_pretrained(folder)(texts, add_special_tokens=False)["input_ids"]
    table = torch.stack([words[i].mean(0) if i else words.mean(0) for i in ids])
    table = table - table.mean(0)
    table = table @ torch.linalg.svd(table, full_matrices=False)[2][:WIDTH].T
    table = table / table.std() + 0.1 * torch.randn(table.shape)
    return table / table.norm(dim=1, keepdim=True) * WIDTH**0.5


def start(tokenizer) -> T5ForConditionalGeneration:
    """A T5 that begins by attending to what is alike (keys equal to queries) and by writing what it attends to.

    The second is a matter of the attention from decoder to encoder: its output matrix undoes the values' matrix.
    """
    config = T5Config(
        vocab_size=len(tokenizer), d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=HIDDEN, num_layers=3, num_decoder_layers=2, num_heads=HEADS,
        dropout_rate=0.0, relative_attention_max_distance=64, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.shared.weight.copy_(meanings(tokenizer))
        for layer in model.modules():
            if hasattr(layer, "q") and hasattr(layer, "k"):  # T5 does not divide by √d: its queries are that much smaller
                layer.k.weight.copy_(layer.q.weight * config.d_kv**0.5)
        for block in model.decoder.block:
            across = block.layer[1].EncDecAttention
            torch.nn.init.orthogonal_(across.v.weight)
            across.o.weight.copy_(across.v.weight.T)
    model.generation_config.update(**WRITING)
    return model


def damaged(text: str, rng: random.Random) -> str:
    """A sentence with four words in ten left out and the others up to three places away, in small letters."""
    words = text.split()
    kept = [(place + rng.uniform(0, 3), word) for place, word in enumerate(words) if rng.random() > 0.4]
    return " ".join(word for _, word in sorted(kept)).lower().strip(".") or words[0].lower()


@torch.inference_mode()
def written(model, tokenizer, some: list[Pair], size: int = 64, **options) -> list[str]:
    """A summary for each pair, as the model's generation settings say, or `options`."""
    model.eval()
    order = sorted(range(len(some)), key=lambda i: len(some[i].source))
    found = [""] * len(some)
    for at in range(0, len(order), size):
        mine = order[at : at + size]
        given = tokenizer([some[i].source for i in mine], padding=True, truncation=True, return_tensors="pt")
        made = model.generate(**given, do_sample=False, **options)
        for i, text in zip(mine, tokenizer.batch_decode(made, skip_special_tokens=True), strict=True):
            found[i] = text.strip()
    return found


def rouge(texts: list[str], some: list[Pair]) -> list[float]:
    """Mean ROUGE-1, -2 and -L (F1) in per cent, as rouge-score counts."""
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"])
    found = [[s.fmeasure for s in scorer.score(p.summary, text).values()] for p, text in zip(some, texts, strict=True)]
    return [round(float(x), 1) for x in 100 * np.mean(found, 0)]


def controls(some: list[Pair]) -> dict[str, list[str]]:
    """What needs no training: for each control a text for every pair.

    The constant sentence is the best, in 150 validation documents, of the forty first lines that are commonest in training.
    """
    common = [line for line, _ in Counter(p.summary for p in summaries.pairs("train")).most_common(40)]
    tuning = summaries.pairs("validation")[::3][:150]
    constant = max(common, key=lambda line: rouge([line] * len(tuning), tuning)[2])
    return {
        "first sentence": [p.sentences[0] for p in some],
        "name in words": [p.spelled for p in some],
        "return the and the last name": ["return the " + summaries.spelled(p.name.split(".")[-1]) for p in some],
        "name and first sentence": [f"{p.spelled} {p.sentences[0]}" for p in some],
        "one sentence for all": [constant] * len(some),
    }


def train(args, folder: Path) -> None:
    """Three stages: mend damaged sentences; write first lines from names alone; write them from names and texts."""
    rng = random.Random(args.seed)
    learn = summaries.more()
    tokenizer = build_tokenizer([text for p in learn for text in (p.source, p.summary)])
    model = start(tokenizer)

    def ids(texts: list[str], most: int) -> list[list[int]]:
        return tokenizer(texts, truncation=True, max_length=most)["input_ids"]

    def rows(some: list[Pair]) -> list[tuple[list[int], list[int]]]:
        return list(zip(ids([p.source for p in some], LONGEST), ids([p.summary for p in some], WRITTEN), strict=True))

    sentences = [p.summary for p in learn] + [s for p in learn for s in p.sentences if len(s.split()) <= 20]
    whole, bare = [p for p in learn if p.body], [p for p in learn if not p.body]
    names, texts = recipes.batches(rows(bare), 2 * BATCH, rng, 20), recipes.batches(rows(whole), BATCH, rng, 20)
    validation = [recipes.collate(rows(summaries.pairs("validation"))[at::8]) for at in range(8)]
    print(f"{model.num_parameters():,} parameters; {len(whole):,} docstrings with a text, {len(bare):,} without", flush=True)

    def mend() -> dict[str, torch.Tensor]:
        some = rng.sample(sentences, 2 * BATCH)
        return recipes.collate(list(zip(ids([damaged(s, rng) for s in some], LONGEST), ids(some, WRITTEN), strict=True)))

    def loss(step: int) -> torch.Tensor:
        batch = mend() if step <= MEND * args.steps else next(names if step <= BARE * args.steps else texts)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(**batch).loss

    def told() -> str:
        with torch.inference_mode():
            model.eval()
            return f"validation {np.mean([model(**batch).loss.item() for batch in validation]):.3f}"

    recipes.fit(model, loss, args.steps, recipes.optimisers(model, rate=1e-2, muon=5e-3), told=told)
    recipes.save(model, tokenizer, folder)


def evaluate(folder: Path) -> dict:
    """ROUGE-1, -2 and -L of the model and of all controls on the test modules; "value" and "control" are ROUGE-L."""
    model = T5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)  # as shipped, in half precision
    tokenizer = AutoTokenizer.from_pretrained(folder)
    test = summaries.pairs("test")
    torch.manual_seed(0)
    untrained = start(tokenizer)
    texts = {"untrained": written(untrained, tokenizer, test[::8]), **controls(test)}
    found = {name: rouge(made, test[::8] if name == "untrained" else test) for name, made in texts.items()}
    ours = rouge(written(model, tokenizer, test), test)
    held = summaries.pairs("validation")
    validation = {"this model": written(model, tokenizer, held), "first sentence": controls(held)["first sentence"]}
    return {
        "metric": "ROUGE-L",
        "value": ours[2],
        "control": {name: three[2] for name, three in found.items()},
        "tolerance": 0.05,
        "test": {"this model": ours, **found},
        "validation": {name: rouge(made, held) for name, made in validation.items()},
    }


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=1500, short=SHORT)
