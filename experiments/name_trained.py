"""Names that a trained network writes when it is asked to: in a language, from the first letters on.

Not a command itself: ``python -m experiments.names --language Italian --starts-with Ro --out RUN``.
"""

from pathlib import Path
from typing import TypedDict
from unicodedata import normalize

import jax
from rich.table import Table
from rich.text import Text

from experiments import name_model
from experiments.name_model import NameSettings
from experiments.name_samples import Written, write
from jaxrnn.command import plain_console
from jaxrnn.data.names import Alphabet, Name
from jaxrnn.generate import Sampler, Temperature, TopK
from jaxrnn.study import hparams_of, restore_models, settings_of, trained


class _Notes(TypedDict):
    characters: str
    languages: list[str]


def ask(name: str, settings: NameSettings, out: Path) -> list[Written]:
    """Write names with the first run in ``out``; prints them with the logarithms of their probabilities, returns them
    by language.

    Raises:
        CheckpointError: nothing is there, it is damaged, another command's, or no run kept a finite loss.
        DataError: a language or characters that were not learned.
        SettingsError: settings that make no sense.
    """
    settings.check()
    meta = trained(name, out, _Notes, rank=1)
    alphabet = Alphabet(meta["notes"]["characters"], tuple(meta["notes"]["languages"]))
    begins = normalize("NFC", settings.starts_with or "")
    asked = alphabet.languages if settings.language is None else (settings.language,)
    beginnings = [Name(begins, language) for language in asked]
    for one in beginnings:
        alphabet.beginning(one)

    was = settings_of(meta, NameSettings, out)
    models = restore_models(out, name_model.task(was, alphabet), hparams_of(was), meta, keep_best=False)
    model = jax.tree.map(lambda leaf: leaf[0], models)
    samplers: list[Sampler] = []
    if settings.temperature is not None:
        samplers.append(Temperature(settings.temperature))
    if settings.top_k is not None:
        samplers.append(TopK(settings.top_k))
    (longest,) = meta["shape"]
    found = []
    for number, one in enumerate(beginnings):
        key = jax.random.fold_in(jax.random.key(settings.seed), number)
        found.append(write(model, key, alphabet, [one] * (settings.samples or 10), samplers, longest + len(begins)))
        plain_console().print(_table(found[-1], f"{one.language}: {begins}..."))
    return found


def _table(written: Written, title: str) -> Table:
    """The different names, the likeliest first."""
    table = Table(title=Text(title), title_justify="left", caption="in nats, of whole names", caption_justify="left")
    table.add_column("name")
    for column in ("log-probability", "of a character", "written"):
        table.add_column(column, justify="right")
    texts = [name.text for name in written.names]
    for place in sorted({texts.index(text) for text in texts}, key=lambda place: written.costs[place]):
        cost, times = written.costs[place], texts.count(texts[place])
        text = texts[place] or "(no letter)"
        table.add_row(
            Text(text if written.ended[place] else f"{text}… (cut)"),
            f"{-cost:.2f}",
            f"{-cost / written.characters[place]:.2f}",
            "once" if times == 1 else f"{times} times",
        )
    return table
