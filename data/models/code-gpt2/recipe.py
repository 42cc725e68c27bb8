"""Train embedded/code-gpt2, a small GPT-2 that writes Python functions. Run: python data/models/code-gpt2/recipe.py

The metric is the share of sampled functions that parse, given only the first line of functions from packages kept from
training; the control is a bigram model sampled in the same way. data/models/README.md explains the arguments.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, TopPLogitsWarper

from utils import snippets
from utils.book import recipes

VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS, BATCH = 2048, 192, 192, 4, 6, 16
TEMPERATURE, TOP_P, SAMPLES = 0.8, 0.95, 300
SHORT = {"steps": 60, "at_least": 0.06}
END = "<|end|>"


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE, whose pieces stay within a name, a digit or a sign; a line break takes its indentation along.

    Brackets and quotation marks are tokens of their own: what has to be closed is easier to count.
    """
    pieces = r"""\n\t*| ?[A-Za-z_]+|\d| ?[()\[\]{}'"]| ?[^\sA-Za-z_0-9()\[\]{}'"]+|\s"""
    bpe = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(pieces), "isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END, bos_token=END, pad_token=END, model_max_length=CONTEXT, clean_up_tokenization_spaces=False
    )


def rows(functions: list[list[int]], rng: random.Random) -> Iterator[list[int]]:
    """Whole functions with an end token before each, several in a row of CONTEXT tokens, of which the last is cut."""
    while True:
        row = []
        for ids in rng.sample(functions, len(functions)):
            row += [0, *ids]
            if len(row) >= CONTEXT - 16:
                yield [*row, *[0] * 16][:CONTEXT]
                row = []


def train(args, folder: Path) -> None:
    """Functions that fit into the context, in another order every time."""
    texts = snippets.functions("train")
    tokenizer = build_tokenizer(texts)
    ids = [i for i in tokenizer(texts, verbose=False)["input_ids"] if len(i) <= CONTEXT - 8]
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=CONTEXT, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, resid_pdrop=0.0,
            embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=WIDTH**-0.5, bos_token_id=0, eos_token_id=0, pad_token_id=0,
        )
    )  # fmt: skip
    print(f"{model.num_parameters():,} parameters, {len(ids):,} functions, {sum(map(len, ids)):,} tokens", flush=True)
    source = rows(ids, random.Random(args.seed))

    def loss(step: int) -> torch.Tensor:
        window = torch.tensor([next(source) for _ in range(BATCH)])  # (BATCH, CONTEXT)
        return model(window, labels=window).loss

    recipes.fit(model, loss, args.steps, recipes.optimisers(model, rate=4e-3, muon=0.02, decay=0.05))
    recipes.save(model, tokenizer, folder)


def bigrams(tokenizer, texts: list[str], heads: list[str]) -> list[tuple[str, bool]]:
    """The control: a model that knows which token follows which, sampled like the real one."""
    counts = torch.zeros(VOCABULARY, VOCABULARY)
    for ids in tokenizer(texts, verbose=False)["input_ids"]:
        pairs = torch.tensor([[0, *ids], [*ids, 0]])
        counts.index_put_((pairs[0], pairs[1]), torch.ones(pairs.shape[1]), accumulate=True)
    follows = TopPLogitsWarper(TOP_P)(None, counts.log() / TEMPERATURE).softmax(-1)
    chance, written = torch.Generator().manual_seed(0), []
    for head in heads:
        ids = tokenizer(head)["input_ids"]
        while len(ids) + 2 <= CONTEXT and ids[-1] != 0:
            ids.append(torch.multinomial(follows[ids[-1]], 1, generator=chance).item())
        written.append((tokenizer.decode([i for i in ids if i]), ids[-1] == 0))
    return written


def evaluate(folder: Path) -> dict:
    """Functions written after first lines of test packages, beside a bigram model's and the real ones, cut alike."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    real = snippets.headed("test", SAMPLES)
    heads = [text.partition("\n")[0] for text in real]
    texts = snippets.functions("train")
    known = {snippets.body(text) for text in texts}
    written = snippets.shares(snippets.complete(model, tokenizer, heads, TEMPERATURE, CONTEXT, TOP_P), known)
    pairs = snippets.shares(bigrams(tokenizer, texts, heads), known)
    cut = snippets.shares([snippets.cut(tokenizer, text, CONTEXT) for text in real], known)
    return {
        "metric": "functions that parse",
        "value": written["parse"],
        "control": {"bigram model": pairs["parse"]},
        "tolerance": round(3 * math.sqrt((1 - written["parse"]) / max(written["parse"], 0.01) / SAMPLES), 2),  # three standard errors
        "written": written,
        "bigrams": pairs,
        "real, cut alike": cut,
    }


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=500, short=SHORT)
