"""Train embedded/docs-mlm, a small model that guesses hidden words of docstrings. Run: python data/models/docs-mlm/recipe.py

The metric is the share of hidden word pieces found in modules it never saw; the controls are the commonest piece and what
stood most often between the same two neighbours. data/models/README.md explains the arguments.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, BertTokenizer, ModernBertConfig, ModernBertForMaskedLM

from utils import assets
from utils.book import recipes
from utils.embedded import docs, reference

SHORT = {"steps": 120, "last": 0, "at_least": 0.10, "controls": ("commonest piece",)}
VOCABULARY, WIDTH, LAYERS, HEADS, WINDOW, BATCH, LONGEST = 6000, 128, 4, 4, 64, 32, 96
MASKED, MASKED_LAST = 0.4, 0.3  # of the pieces in training (Wettig et al., 2023); HIDDEN of them when it is measured, as BERT had it
HIDDEN = 0.15
RATE, MUON = 4e-3, 5e-2  # the second: for the matrices
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # ids 0 to 4


def openings(split: str) -> list[str]:
    """What the model is measured on: the openings of docstrings, names in them replaced with "_"."""
    return [d.text for d in docs.documents() if d.split == split]


def whole() -> list[str]:
    """Ten times as much text for training: whole docstrings of the same modules, and passages of Python's reference."""
    return [d.text for d in docs.documents(whole=True) if d.split == "train"] + [p.text for p in reference.passages()]


def vocabulary(folder: Path) -> list[int]:
    """Write vocab.txt: of MiniLM's pieces the special ones, single signs, and the most frequent of training. Returns their ids there."""
    minilm = Path(assets.model("embedded/minilm-l6"))
    pieces = (minilm / "vocab.txt").read_text(encoding="utf-8").splitlines()
    first = [pieces.index(p) for p in SPECIAL]
    signs = [i for i, p in enumerate(pieces) if len(p.removeprefix("##")) == 1 and p.isascii()]
    rows = AutoTokenizer.from_pretrained(minilm)([*openings("train") * 4, *whole()], add_special_tokens=False, verbose=False)["input_ids"]
    known = {*first, *signs}
    frequent = [i for i, _ in Counter(i for row in rows for i in row).most_common() if i not in known]
    kept = first + sorted((signs + frequent)[: VOCABULARY - len(first)])
    (folder / "vocab.txt").write_text("\n".join(pieces[i] for i in kept) + "\n", encoding="utf-8", newline="\n")
    return kept


def start(kept: list[int]) -> ModernBertForMaskedLM:
    """A model at random but for its word embeddings: MiniLM's, reduced to WIDTH by their principal components."""
    config = ModernBertConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=3 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        max_position_embeddings=128, local_attention=16, global_attn_every_n_layers=2, pad_token_id=0, cls_token_id=2, sep_token_id=3,
        bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    model = ModernBertForMaskedLM(config)
    weights = load_file(Path(assets.model("embedded/minilm-l6")) / "model.safetensors")
    words = next(v for k, v in weights.items() if k.endswith("word_embeddings.weight"))[kept].float()
    words = words - words.mean(0)
    reduced = words @ torch.linalg.svd(words, full_matrices=False)[2][:WIDTH].T
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(reduced / reduced.std() * 0.06)
    return model


def hide(ids: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Which of the pieces (any shape) are hidden; special ones never are."""
    return (torch.rand(ids.shape, generator=generator) < share) & (ids >= len(SPECIAL))


def logits_of(model, ids: torch.Tensor, hidden: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
    """Logits (hidden pieces, vocabulary); the product with the vocabulary is made for those alone."""
    states = model.model(ids.masked_fill(hidden, SPECIAL.index("[MASK]")), attention_mask=attention_mask).last_hidden_state
    return model.decoder(model.head(states[hidden]))


def train(args, folder: Path) -> None:
    """Windows of WINDOW pieces, half of them openings, half whole docstrings; half of them begin where a text begins.

    `steps` updates, then `last` more with fewer gaps and half the rates, each with a cosine of its own.
    """
    if args.only_last:
        model = ModernBertForMaskedLM.from_pretrained(args.only_last, dtype=torch.float32)
        tokenizer = BertTokenizer.from_pretrained(args.only_last)
    else:
        model = start(vocabulary(folder))
        tokenizer = BertTokenizer(str(folder / "vocab.txt"), model_max_length=model.config.max_position_embeddings)
        (folder / "vocab.txt").unlink()  # it is in tokenizer.json
    sources = [
        torch.tensor([i for row in tokenizer(texts, verbose=False)["input_ids"] for i in row]) for texts in (openings("train"), whole())
    ]
    begins = [(ids[:-WINDOW] == tokenizer.cls_token_id).nonzero()[:, 0] for ids in sources]
    generator = torch.Generator().manual_seed(args.seed + bool(args.only_last))
    print(f"{model.num_parameters():,} parameters, {' + '.join(f'{len(ids):,}' for ids in sources)} word pieces", flush=True)

    def window(ids: torch.Tensor, begin: torch.Tensor, number: int) -> torch.Tensor:
        anywhere = torch.randint(len(ids) - WINDOW, (number,), generator=generator)
        beginning = begin[torch.randint(len(begin), (number,), generator=generator)]
        at = torch.where(torch.rand(number, generator=generator) < 0.5, beginning, anywhere)
        return ids[at[:, None] + torch.arange(WINDOW)]  # (number, WINDOW)

    def loss(step: int, masked: float = MASKED) -> torch.Tensor:
        ids = torch.cat([window(s, b, BATCH // 2) for s, b in zip(sources, begins, strict=True)])
        hidden = hide(ids, masked, generator)
        return cross_entropy(logits_of(model, ids, hidden), ids[hidden])

    if not args.only_last:
        recipes.fit(model, loss, args.steps, recipes.optimisers(model, RATE, MUON))
    if args.last:
        recipes.fit(model, partial(loss, masked=MASKED_LAST), args.last, recipes.optimisers(model, RATE / 2, MUON / 2))
    recipes.save(model, tokenizer, folder)


class Neighbours:
    """The control: what stood most often between these two neighbours in the training text, counted, nothing learnt."""

    def __init__(self, rows: list[list[int]]):
        self.all = Counter(i for row in rows for i in row if i >= len(SPECIAL))
        self.between, self.after, self.before = defaultdict(Counter), defaultdict(Counter), defaultdict(Counter)
        for row in rows:
            for left, piece, right in zip(row, row[1:], row[2:], strict=False):
                self.between[left, right][piece] += 1
                self.after[left][piece] += 1
                self.before[right][piece] += 1

    def guess(self, left: int, right: int) -> int:
        """The best piece by the pair; for a pair never seen by P(piece | left) P(piece | right) / P(piece), or one of them."""
        if found := self.between.get((left, right)):
            return found.most_common(1)[0][0]
        after, before = self.after.get(left, {}), self.before.get(right, {})
        if both := after.keys() & before.keys():
            return max(sorted(both), key=lambda i: after[i] * before[i] / self.all.get(i, 1))
        either = after or before or self.all
        return max(sorted(either), key=either.get)


@torch.inference_mode()
def evaluate(folder: Path, split: str = "test", number: int = 800) -> dict:
    """Openings of modules kept from training, HIDDEN of their pieces replaced with [MASK]; every guess is over all pieces."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = ModernBertForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    counted = Neighbours(tokenizer([*openings("train"), *whole()], verbose=False)["input_ids"])
    commonest = Counter(
        i for row in tokenizer(openings("train"), add_special_tokens=False, verbose=False)["input_ids"] for i in row
    ).most_common(1)[0][0]
    rows = tokenizer(openings(split)[:number], truncation=True, max_length=LONGEST)["input_ids"]
    generator, right = torch.Generator().manual_seed(0), []
    for at in range(0, len(rows), 32):
        given = tokenizer.pad({"input_ids": rows[at : at + 32]}, return_tensors="pt")
        ids = given["input_ids"]
        hidden = hide(ids, HIDDEN, generator)
        best = logits_of(model, ids, hidden, given["attention_mask"]).argmax(-1)
        seen = ids.masked_fill(hidden, tokenizer.mask_token_id).tolist()
        near = [counted.guess(seen[row][place - 1], seen[row][place + 1]) for row, place in hidden.nonzero().tolist()]
        right += [(b == i, n == i, i == commonest) for b, n, i in zip(best.tolist(), near, ids[hidden].tolist(), strict=True)]
    value, neighbours, common = (round(sum(column) / len(right), 3) for column in zip(*right, strict=True))
    return {
        "metric": "hidden word pieces found",
        "value": value,
        "control": {"commonest piece": common, "by the two neighbours": neighbours},
    }


if __name__ == "__main__":
    recipes.main(__file__, train, evaluate, steps=1200, short=SHORT, options={"last": 1500, "only-last": ""})
