"""What the training command on texts shares with what asks its runs: settings, study, and the way back from a folder.

Not a command itself: see `char_lm`.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self, TypedDict, TypeVar

from jaxrnn import language
from jaxrnn.command import FREE, CellName, StepSettings, above_zero, at_least_one
from jaxrnn.data import Origin, text
from jaxrnn.data.text import Text, Vocabulary
from jaxrnn.errors import SettingsError
from jaxrnn.layers import stack
from jaxrnn.models import LanguageModel
from jaxrnn.optimisers import OPTIMISERS, OptimiserName, decayed
from jaxrnn.study import Study, hparams_of, restore_models, settings_of, trained
from jaxrnn.train import Chunks, Stream, Task
from jaxrnn.typing import Init


@dataclass(frozen=True, kw_only=True)
class TextSettings(StepSettings):
    """A network that reads a text character by character, and says at each which one comes next."""

    text_file: tuple[Path, ...] = field(default=(), metadata=FREE)
    """Text files in UTF-8, each a document; where not given, the prose about Python that every Python has. The last
    tenth is held out."""
    keep_boilerplate: bool = False
    """Keep Project Gutenberg's header and licence, where a file has them."""
    characters: int | None = None
    """Take only so many characters, from the beginning; all where not given."""
    length: int = 30
    """Characters in a sequence: the gradient reaches as far back."""
    stateful: bool = False
    """Read the text in --batch contiguous streams, each going on in the state of the step before, instead of windows
    anywhere in it. A state begins anew with every document and every pass over the text."""
    cell: CellName = "lstm"
    """The recurrent cell."""
    hidden: int = 128
    """Hidden units in a layer."""
    layers: int = 2
    """Recurrent layers."""
    dropout: float = 0.0
    """How many of the numbers between two layers are dropped in training, as a probability."""
    init: Init = "default"
    """Initialisation: this library's default, or PyTorch's."""
    optimiser: OptimiserName = "rmsprop_torch"
    """The optimiser."""
    learning_rate: float = 2e-3
    """Its learning rate at the start."""
    decay: float = 0.96
    """What the learning rate is multiplied by after each --decay-every steps."""
    decay_every: int = 5000
    """Steps between two decays."""
    batch: int = 64
    """Sequences in a training step."""
    clip_norm: float = 5.0
    """Gradients with a larger global norm are scaled down to it."""
    steps: int = 10_000
    """Training steps."""
    every: int = 500
    """Steps between two evaluations: an epoch of the history."""
    sample_length: int = 30
    """Characters in a sample, the first one included."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, characters=50_000, hidden=64, batch=32, learning_rate=1e-2, steps=300, every=60)

    def check(self) -> None:
        super().check()
        at_least_one(self, "length", "hidden", "layers", "batch", "decay_every", "characters")
        if self.sample_length < 2:
            raise SettingsError(f"--sample-length must be at least 2, not {self.sample_length}")
        above_zero(self, "learning_rate", "clip_norm")
        if not 0 < self.decay <= 1:
            raise SettingsError(f"--decay must be above 0 and at most 1, not {self.decay}")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"--dropout must be at least 0 and below 1, not {self.dropout}")


S = TypeVar("S", bound=TextSettings)


def load(settings: TextSettings) -> Text:
    """The text that is meant. Raises DataError."""
    return text.read(settings.text_file, keep_boilerplate=settings.keep_boilerplate, characters=settings.characters)


def training_data(settings: TextSettings, read: Text) -> Stream | Chunks:
    """What is trained on. Raises DataError for a text that is too short."""
    if not settings.stateful:
        return language.windows(read.train, settings.length, settings.every)
    one_pass = language.streams(read.train, read.starts, settings.batch, settings.length)
    passes = max(1, round(settings.every / one_pass.steps))
    return language.streams(read.train, read.starts, settings.batch, settings.length, passes)


def whole_passes(settings: S, read: Text) -> S:
    """Settings whose epochs are whole passes over the text where it is read in streams, and a multiple of 5 in number:
    as near as can be to what is asked for. Others as they are.

    Raises DataError.
    """
    if not settings.stateful:
        return settings
    every = training_data(settings, read).steps
    return replace(settings, every=every, steps=5 * every * max(1, round(settings.steps / (5 * every))))


def study(settings: TextSettings, read: Text) -> Study:
    """One network; held out is the text's last tenth, read as one stream from the last character that is trained on.

    Raises SettingsError, and DataError for a text that is too short.
    """
    settings.check()
    vocabulary, data = read.vocabulary, training_data(settings, read)
    if data.steps != settings.every:
        raise SettingsError(
            f"--stateful reads the text in whole passes: --every {settings.every} would have to be {data.steps}"
        )
    held_out = language.contiguous(read.train[-1], read.test, vocabulary.size)
    return Study(
        task=task(settings, vocabulary),
        hparams=hparams_of(settings),
        dataset=Origin(read.name, read.source),
        train=data,
        evals={"test": held_out},
        same_epochs=True,
        answers=lambda fitted, parameters: {},
        notes={
            "characters": vocabulary.characters,
            "text": read.name,
            "files": [str(file.absolute()) for file in settings.text_file],
        },
        sizes={"train": len(read.train), "test": len(read.test)},
        unit="characters",
    )


def task(settings: TextSettings, vocabulary: Vocabulary) -> Task:
    """What is trained, and how."""

    def make_model(rngs, hparams):
        widths = [settings.hidden] * settings.layers
        return LanguageModel(
            stack(settings.cell, vocabulary.size, widths, init=settings.init, rngs=rngs), init=settings.init, rngs=rngs
        )

    def optimiser(hparams):
        return OPTIMISERS[settings.optimiser](decayed(hparams.learning_rate, settings.decay, settings.decay_every))

    stateful = language.STATEFUL if settings.stateful else None
    return Task(make_model, language.next_id, optimiser, settings.batch, stateful)


class _Notes(TypedDict):
    characters: str
    text: str
    files: list[str]


class Trained(NamedTuple):
    """What the folder of a run holds, for whoever asks it."""

    models: LanguageModel
    """With a leading run axis, of all runs that kept a finite loss."""
    vocabulary: Vocabulary
    settings: TextSettings
    text: str
    """The name of what it was trained on."""


def restore(name: str, out: Path) -> Trained:
    """What the run of the command ``name`` in ``out`` has come to.

    Raises:
        CheckpointError: nothing is there, it is damaged, another command's, or no run kept a finite loss.
    """
    meta = trained(name, out, _Notes)
    notes = meta["notes"]
    settings = settings_of(meta, TextSettings, out, text_file=tuple(map(Path, notes["files"])))
    vocabulary = Vocabulary(notes["characters"])
    models: Any = restore_models(out, task(settings, vocabulary), hparams_of(settings), meta, keep_best=False)
    return Trained(models, vocabulary, settings, notes["text"])
