"""The benchmark's rows that are film reviews: what it takes to train `imdb_gru`.

``imdb_gru`` is a review as ``imdb_gru --mask`` trains on it: the padding is skipped, and reviews of like length share
batches; PyTorch reads rows padded in front to the full length and judges the last output, or it reads packed sequences
and judges the last state of its upper layer. ``imdb_gru_padded`` is a training step as the command's defaults have it:
all libraries read the padding like any word. Not a command itself: see `benchmark`.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from experiments import contest, floor, imdb_gru, peer_torch, reviews_recurrent
from experiments.contest import Contest, Group
from experiments.measuring import ours_of
from experiments.peers import Batches, Network
from jaxrnn.buckets import bucketed
from jaxrnn.data.tokens import PADDING, padded
from jaxrnn.study import hparams_of
from jaxrnn.train import Buckets, Task

REVIEWS = Group("Reviews trained on a second", "ms_review", 1e3)
PADDED = Group("A training step on padded reviews")


class Scale(NamedTuple):
    """The sizes of a network that judges reviews, of the reviews, and how many steps make a turn."""

    batch: int = 128
    steps: int = 20
    """Of ours; it is an epoch, and has all reviews there are."""
    torch: int = 3
    packed: int = 1
    vocabulary: int = 20_002
    length: int = 400
    embedding: int = 256
    hidden: int = 256
    layers: int = 2
    buckets: int = 8


FEW = Scale(batch=8, steps=4, torch=2, vocabulary=50, length=20, embedding=8, hidden=8, buckets=2)

DECILES = (10, 89, 118, 133, 149, 172, 203, 248, 320, 452, 2459)
"""Of the number of words of IMDB's 25,000 training reviews, from the shortest to the longest: measured, as `imdb_gru`
counts words. Cut at 400, their mean is 205.8."""


def rows(quick: bool) -> dict[str, Contest]:
    """These rows by name."""
    scale = FEW if quick else Scale()
    return {"imdb_gru": skipping(scale), "imdb_gru_padded": reading(scale._replace(steps=1))}


def network_of(scale: Scale) -> Network:
    """What `imdb_gru` trains, of any size."""
    chosen = settings(scale)
    return Network(
        chosen.cell,
        scale.embedding,
        scale.hidden,
        1,
        scale.layers,
        vocabulary=scale.vocabulary,
        loss="yes",
        optimiser=chosen.optimiser,
        learning_rate=chosen.learning_rate,
    )


def settings(scale: Scale, *, mask: bool = True) -> imdb_gru.Settings:
    """Those of `imdb_gru`, of any size."""
    sizes = {name: getattr(scale, name) for name in ("batch", "length", "embedding", "hidden", "layers", "buckets")}
    return imdb_gru.Settings(mask=mask, max_words=scale.vocabulary - 2, **sizes)


def task(scale: Scale, *, mask: bool = True) -> Task:
    return reviews_recurrent.task(settings(scale, mask=mask), scale.vocabulary)


def _trained(scale: Scale, network: Network, *, mask: bool, **more: Any) -> Contest:
    """A row that is training on reviews, with what else there is to it."""
    task_of_it = task(scale, mask=mask)
    return Contest(
        sizes=f"{network.sizes}, up to {scale.length} words, batch {scale.batch}",
        drawn="random words",
        network=network,
        config=scale._asdict(),
        rounds=5,
        task=task_of_it,
        ours=ours_of(task_of_it, hparams_of(settings(scale))),
        batches=lambda: unparted(reviews(scale), scale),
        **more,
    )


def skipping(scale: Scale) -> Contest:
    """Told for one review. No library need read padding: the work is that of the words."""
    network = network_of(scale)
    return _trained(
        scale,
        network,
        mask=True,
        group=REVIEWS,
        steps={"ours": scale.steps, "torch": scale.torch, "torch_packed": scale.packed},
        each=scale.batch,
        work=lambda: floor.training(network, scale.batch, _mean_length(scale), inputs=floor.NUMBER),
        data=lambda: reviews(scale),
        peers={"torch": peer_torch.trainer, "torch_packed": partial(peer_torch.trainer, packed=True)},
    )


def reading(scale: Scale) -> Contest:
    """A training step on rows of the full length."""
    network = network_of(scale)

    def data() -> tuple[np.ndarray, np.ndarray]:
        xs, ys = zip(*unparted(reviews(scale), scale), strict=True)
        return np.concatenate(xs), np.concatenate(ys)

    return _trained(
        scale,
        network,
        mask=False,
        group=PADDED,
        steps=scale.steps,
        work=partial(floor.training, network, scale.batch, scale.length, inputs=floor.NUMBER),
        data=data,
        peers=contest.knowing(network.cell),
    )


# What is trained on.


def reviews(scale: Scale) -> Buckets:
    """Reviews of random words, as long as IMDB's and parted as these are, in as many batches as ours has in a turn.

    The buckets are those of 25,000 reviews, and each has whole batches only, its share of them: of so few reviews, the
    last, short batch of every bucket, which costs as much as a whole one, would be a sixth of the work. So a row of
    the full size is read for 225 steps in the mean, and one of IMDB's own for 228.
    """
    random = np.random.default_rng(0)
    lengths = _lengths(scale, random)
    ids = random.integers(PADDING + 1, scale.vocabulary, lengths.sum(), np.min_scalar_type(scale.vocabulary - 1))
    labels = random.integers(0, 2, len(lengths), np.int32)
    parts = bucketed(padded(ids, lengths, scale.length), labels, scale.buckets, PADDING).parts
    sizes = [len(y) for _, y in parts]
    batches = np.diff(np.rint(scale.steps * np.cumsum(sizes) / len(lengths)).astype(int), prepend=0)
    kept = zip(parts, (scale.batch * batches).tolist(), strict=True)
    return Buckets(tuple((x[:count], y[:count]) for (x, y), count in kept if count))


def _lengths(scale: Scale, random: np.random.Generator) -> np.ndarray:
    words = np.interp(random.random(25_000), np.linspace(0, 1, len(DECILES)), DECILES)
    return np.clip(np.rint(words * scale.length / 400), 1, scale.length).astype(int)


def _mean_length(scale: Scale) -> float:
    return float(_lengths(scale, np.random.default_rng(0)).mean())


def unparted(data: Buckets, scale: Scale) -> Batches:
    """The same reviews at their full length, in batches of any lengths."""
    rows = [
        np.pad(x, ((0, 0), (scale.length - x.shape[1], 0)), constant_values=PADDING).astype(np.int32)
        for x, _ in data.parts
    ]
    x, y = np.concatenate(rows), np.concatenate([y for _, y in data.parts])
    order = np.random.default_rng(1).permutation(len(y)).reshape(-1, scale.batch)
    return [(x[batch], y[batch]) for batch in order]
