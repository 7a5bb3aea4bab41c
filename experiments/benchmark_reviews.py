"""The benchmark's reviews: what one costs in training `imdb_gru`, ours and PyTorch's.

Ours trains as ``imdb_gru --mask`` does: the padding is skipped, and reviews of like length share batches. PyTorch
trains by an eager loop, in the two ways that its tutorials have: ``nn.GRU`` reads rows padded in front to the full
length, and its last output is judged; or it reads packed sequences, and the last state of its upper layer is judged.
Not a command itself: see `benchmark`.
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from experiments import imdb_gru, measuring, reviews_recurrent
from experiments.measuring import Measured, Ours, Outcome, Trainer
from jaxrnn.buckets import bucketed
from jaxrnn.data.tokens import PADDING, padded
from jaxrnn.models import TextClassifier, parameter_count
from jaxrnn.study import hparams_of
from jaxrnn.train import Buckets, Devices, Task
from jaxrnn.typing import Int, Shaped

Batch = tuple[Int[np.ndarray, "b t"], Int[np.ndarray, "b"]]
"""Reviews as ids, padded in front, and their labels."""


class ReviewScale(NamedTuple):
    """The sizes of a network that judges reviews, of the reviews, and how many steps make a turn."""

    batch: int = 128
    turns: Mapping[str, int] = {"ours": 20, "torch": 3, "torch_packed": 1}
    """Training steps of a turn, by library; ours is an epoch, and has all reviews there are."""
    vocabulary: int = 20_002
    length: int = 400
    embedding: int = 256
    hidden: int = 256
    layers: int = 2
    buckets: int = 8

    @property
    def sizes(self) -> str:
        """The network's, and how long a review is at most, in words."""
        widths = " -> ".join(map(str, (self.embedding, *[self.hidden] * self.layers, 1)))
        return f"{self.vocabulary:,} ids -> {widths}, up to {self.length} words"


REVIEWS: dict[str, ReviewScale] = {"imdb_gru": ReviewScale()}
"""The rows of the benchmark that are networks trained on reviews."""

_FEW_STEPS = {"ours": 4, "torch": 2, "torch_packed": 1}

QUICK_REVIEWS: dict[str, ReviewScale] = {
    row: scale._replace(batch=8, turns=_FEW_STEPS, vocabulary=50, length=20, embedding=8, hidden=8, buckets=2)
    for row, scale in REVIEWS.items()
}

DECILES = (10, 89, 118, 133, 149, 172, 203, 248, 320, 452, 2459)
"""Of the number of words of IMDB's 25,000 training reviews, from the shortest to the longest: measured, as `imdb_gru`
counts words. Cut at 400, their mean is 205.8."""


def measure(row: str, scale: ReviewScale, rounds: int, devices: Devices = None) -> Outcome:
    """A row: milliseconds of a review trained on."""
    began = time.perf_counter()
    parameters, trainers = contestants(scale, devices)
    for train in trainers.values():
        train(1)
    warming = time.perf_counter() - began
    times = measuring.race(trainers, scale.turns, rounds)
    costs = {library: [turn / scale.batch for turn in turns] for library, turns in times.items()}
    return Outcome(Measured(row, "ms_review", costs, parameters), warming)


# What is trained on.


def reviews(scale: ReviewScale) -> Buckets:
    """Reviews of random words, as long as IMDB's and parted as these are, in as many batches as ours has in a turn.

    The buckets are those of 25,000 reviews, and each has whole batches only, its share of them: of so few reviews, the
    last, short batch of every bucket, which costs as much as a whole one, would be a sixth of the work. So a row of
    the full size is read for 225 steps in the mean, and one of IMDB's own for 228.
    """
    random = np.random.default_rng(0)
    words = np.interp(random.random(25_000), np.linspace(0, 1, len(DECILES)), DECILES)
    lengths = np.clip(np.rint(words * scale.length / 400), 1, scale.length).astype(int)
    ids = random.integers(PADDING + 1, scale.vocabulary, lengths.sum(), np.min_scalar_type(scale.vocabulary - 1))
    labels = random.integers(0, 2, len(lengths), np.int32)
    parts = bucketed(padded(ids, lengths, scale.length), labels, scale.buckets, PADDING).parts
    sizes = [len(y) for _, y in parts]
    batches = np.diff(np.rint(scale.turns["ours"] * np.cumsum(sizes) / len(lengths)).astype(int), prepend=0)
    kept = zip(parts, (scale.batch * batches).tolist(), strict=True)
    return Buckets(tuple((x[:count], y[:count]) for (x, y), count in kept if count))


def unparted(data: Buckets, scale: ReviewScale) -> list[Batch]:
    """The same reviews at their full length, in batches of any lengths."""
    rows = [
        np.pad(x, ((0, 0), (scale.length - x.shape[1], 0)), constant_values=PADDING).astype(np.int64)
        for x, _ in data.parts
    ]
    x, y = np.concatenate(rows), np.concatenate([y for _, y in data.parts])
    order = np.random.default_rng(1).permutation(len(y)).reshape(-1, scale.batch)
    return [(x[batch], y[batch]) for batch in order]


# Who trains. All begin at our weights.


def contestants(scale: ReviewScale, devices: Devices = None) -> tuple[int, dict[str, Trainer]]:
    """The number of parameters, and what trains by library."""
    chosen = settings(scale)
    data = reviews(scale)
    ours = Ours(task(chosen, scale), data, devices, hparams=hparams_of(chosen))
    (begun,) = ours.models
    trainers: dict[str, Trainer] = {"ours": ours}
    if measuring.installed("torch"):
        batches = unparted(data, scale)
        trainers["torch"] = torch_trainer(begun, chosen.learning_rate, batches, packed=False)
        trainers["torch_packed"] = torch_trainer(begun, chosen.learning_rate, batches, packed=True)
    return parameter_count(begun), trainers


def settings(scale: ReviewScale, *, mask: bool = True) -> imdb_gru.Settings:
    """Those of `imdb_gru`, of any size."""
    sizes = {name: getattr(scale, name) for name in ("batch", "length", "embedding", "hidden", "layers", "buckets")}
    return imdb_gru.Settings(mask=mask, max_words=scale.vocabulary - 2, **sizes)


def task(chosen: imdb_gru.Settings, scale: ReviewScale) -> Task:
    return reviews_recurrent.task(chosen, scale.vocabulary)


def torch_trainer(model: TextClassifier, learning_rate: float, batches: Sequence[Batch], *, packed: bool) -> Trainer:
    """PyTorch as its tutorials have it: an eager loop over batches, padded in front or ``packed``, made beforehand."""
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pack_padded_sequence

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    network = measuring.torch_network("gru", measuring.torch_weights(model))
    network["embedding"] = nn.Embedding.from_pretrained(torch.from_numpy(np.array(model.embedding)), freeze=False)
    network.to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate)

    def tensors(x, y):
        rows, lengths = behind(x)
        ids, labels = torch.from_numpy(rows if packed else x), torch.from_numpy(y).float()
        return ids.to(device), torch.from_numpy(lengths), labels.to(device)  # what packs reads lengths on the host

    def last(ids, lengths):
        xs = network["embedding"](ids)
        if packed:
            _, h_n = network["rnn"](pack_padded_sequence(xs, lengths, batch_first=True, enforce_sorted=False))
            return h_n[-1]
        ys, _ = network["rnn"](xs)
        return ys[:, -1]

    turns = itertools.cycle([tensors(x, y) for x, y in batches])

    def train(steps: int) -> float:
        for ids, lengths, y in itertools.islice(turns, steps):
            optimiser.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(network["head"](last(ids, lengths))[:, 0], y)
            loss.backward()
            optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return loss.item()

    return train


def behind(x: Shaped[np.ndarray, "b t"]) -> tuple[Shaped[np.ndarray, "b t"], Int[np.ndarray, "b"]]:
    """Rows that are padded in front with their padding behind, and how many words each has."""
    real = x != PADDING
    lengths = real.sum(1)
    rows = np.full_like(x, PADDING)
    rows[np.arange(x.shape[1]) < lengths[:, None]] = x[real]
    return rows, lengths
