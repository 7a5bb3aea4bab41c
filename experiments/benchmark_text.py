"""The benchmark's rows that are language models: characters written, and a training step of `char_lm`.

Ours and PyTorch's write with the state carried from character to character, and draw each at a temperature. PyTorch
writes as a student would have it, a loop over `nn.LSTM` under ``torch.inference_mode``; ours goes on in compiled
pieces, as the command streams them. The peers train on one-hot batches, at a rate that is not lowered: in the steps
that are measured, ours is not lowered either. Not a command itself: see `benchmark`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments import contest, floor, peer_torch, texts
from experiments.contest import Contest, Group
from experiments.measuring import ours_of
from experiments.peers import Batches, Network, Trainer, Weights
from experiments.texts import TextSettings
from jaxrnn import language
from jaxrnn.data.text import Vocabulary
from jaxrnn.generate import Temperature, generate
from jaxrnn.models import LanguageModel
from jaxrnn.study import hparams_of
from jaxrnn.train import Devices, Stream, Task, spread

WRITING = Group("Characters written a second, all texts together", "us", 1e6)
TRAINING = Group("A training step of a language model")

CHARACTERS = 100_000
"""In the text that is trained on."""


class Scale(NamedTuple):
    """The sizes of a language model, of what it reads or writes, and how many steps make a turn."""

    batch: int
    """Texts that are written side by side, or sequences in a training step."""
    steps: int
    """Characters of each text, or training steps."""
    vocabulary: int = 87
    hidden: int = 128
    layers: int = 2
    time: int = 30
    """Characters in a sequence."""
    temperature: float = 0.8


def rows(quick: bool) -> dict[str, Contest]:
    """These rows by name."""
    kinds = {
        "generate": (writing, Scale(batch=1, steps=500)),
        "generate_64": (writing, Scale(batch=64, steps=300)),
        "char_lm": (training, Scale(batch=64, steps=20)),
    }
    if quick:
        kinds = {
            name: (kind, scale._replace(steps=10, batch=min(scale.batch, 8), hidden=16))
            for name, (kind, scale) in kinds.items()
        }
    return {name: kind(scale) for name, (kind, scale) in kinds.items()}


def network_of(scale: Scale) -> Network:
    """What `char_lm` trains, of any size."""
    chosen = settings(scale)
    return Network(
        chosen.cell,
        scale.vocabulary,
        scale.hidden,
        scale.vocabulary,
        scale.layers,
        one_hot=True,
        every_step=True,
        optimiser=chosen.optimiser,
        learning_rate=chosen.learning_rate,
        clip_norm=chosen.clip_norm,
    )


def settings(scale: Scale) -> TextSettings:
    return TextSettings(batch=scale.batch, hidden=scale.hidden, layers=scale.layers, length=scale.time)


def task(scale: Scale) -> Task:
    return texts.task(settings(scale), Vocabulary("".join(map(chr, range(32, 31 + scale.vocabulary)))))


# Who writes. A call goes on where the last one ended.


def writing(scale: Scale) -> Contest:
    """A step is a character of every text."""
    network = network_of(scale)
    return Contest(
        group=WRITING,
        sizes=f"{network.sizes}, batch {scale.batch}",
        drawn="random characters",
        network=network,
        config=scale._asdict(),
        steps=scale.steps,
        each=scale.batch / 1e3,  # microseconds
        data=lambda: None,
        ours=lambda data, devices: Writer(scale, devices),
        batches=lambda: [],
        peers={"torch": partial(_torch_writing, scale)},
    )


class Writer:
    """Ours, in one compiled piece a call, the texts spread over the devices. As a trainer, it gives the mean id."""

    def __init__(self, scale: Scale, devices: Devices = None):
        mesh = Mesh(spread(1, scale.batch, devices).devices.ravel(), ("text",), axis_types=(AxisType.Auto,))
        by_text = NamedSharding(mesh, PartitionSpec("text"))
        made = jax.jit(lambda: task(scale).make_model(nnx.Rngs(0), hparams_of(settings(scale))))()
        self._temperature = scale.temperature
        self._model: LanguageModel = jax.device_put(made, NamedSharding(mesh, PartitionSpec()))
        self._keys = jax.device_put(jax.random.split(jax.random.key(0), scale.batch), by_text)
        self._last = jax.device_put(jnp.zeros((scale.batch, 1), jnp.int32), by_text)
        self._state: Any = None

    @property
    def models(self) -> list[Any]:
        return [self._model]

    def write(self, steps: int) -> np.ndarray:
        """Ids ``(batch, steps)``, on the host."""
        sampler = Temperature(self._temperature)
        self._state, ids = generate(self._model, self._keys, self._last, steps, sampler, carry=self._state)
        self._last = ids[:, -1:]
        return np.asarray(ids)

    def __call__(self, steps: int, /) -> float:
        return float(self.write(steps).mean())


def _torch_writing(
    scale: Scale, network: Network, begin: Sequence[Weights], batches: Batches
) -> AbstractContextManager[Trainer]:
    write = peer_torch.writer(network, begin[0], scale.batch, scale.temperature)
    return nullcontext(lambda steps: float(write(steps).mean()))


# Who learns.


def training(scale: Scale) -> Contest:
    """On windows of random characters."""
    network, task_of_it = network_of(scale), task(scale)

    def stream() -> Stream:
        characters = np.random.default_rng(0).integers(0, scale.vocabulary - 1, CHARACTERS, np.uint8)
        return language.windows(characters, scale.time, scale.steps)

    def batches() -> Batches:
        windows, eye = stream(), np.eye(scale.vocabulary, dtype=np.float32)
        keys, kept = jax.random.split(jax.random.key(0), scale.steps), jnp.asarray(windows.kept)
        drawn = [jax.tree.map(np.array, windows.draw(key, scale.batch, kept)) for key in keys]
        return [(eye[x], y.astype(np.int32)) for x, y in drawn]

    return Contest(
        group=TRAINING,
        sizes=f"{network.sizes}, {scale.time} characters, batch {scale.batch}",
        drawn="random characters",
        network=network,
        config=scale._asdict(),
        steps=scale.steps,
        work=partial(floor.training, network, scale.batch, scale.time, inputs=1),  # an id is a byte
        task=task_of_it,
        data=stream,
        ours=ours_of(task_of_it, hparams_of(settings(scale))),
        batches=batches,
        peers=contest.knowing(network.cell),
    )
