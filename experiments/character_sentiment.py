"""The sentiment of a sentence, read character by character by GRUs of ten units that saw eleven sentences (NTU Q4).

python -m experiments.character_sentiment [--seeds 8] [--mask] [--dropout-convention keep] [--sentence "..."]
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table

from experiments import character_regularisers, character_trained, characters
from experiments.characters import CharacterSettings
from experiments.verdicts import judged, middle
from jaxrnn import plots, runfolder
from jaxrnn.command import command, plain_console
from jaxrnn.data import sentences
from jaxrnn.data.sentences import CLASSES, NEGATIVE, POSITIVE
from jaxrnn.plots.strips import Strip
from jaxrnn.plots.style import finite
from jaxrnn.runfolder import Reference
from jaxrnn.study import Experiment, Study, amended, carry_out, conclude
from jaxrnn.train import Fitted
from jaxrnn.words import NAMES, median_percent, median_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Tested(NamedTuple):
    """One of the paper's test sentences."""

    name: str
    """Of the set that it is by itself."""
    text: str
    label: int
    printed: float
    """How likely positive it is in the paper: the second column of what that printed, by its targets."""

    def right(self, positive: Any) -> str:
        """How many of the runs that came through judge it as a reader does."""
        values = finite(positive)
        return f"{sum((value > 0.5) == (self.label == POSITIVE) for value in values)} of {len(values)}"


TESTED = tuple(
    Tested(f"test_{place}", text, label, printed)
    for place, ((text, label), printed) in enumerate(zip(sentences.TEST, (0.9881, 0.5641), strict=True), start=1)
)


def study(settings: CharacterSettings, data: Any = None) -> Study:
    """One network, with its answer and the paper's numbers. Raises SettingsError."""
    note = "the second column, of label 1, positive by the paper's targets; the slide's words take it for negative"
    return replace(
        characters.study(settings),
        answers=lambda fitted, parameters: answers(settings, fitted, parameters),
        reference=[
            Reference(what="printed in the tutorial", metric=f"{one.name}_positive", value=one.printed, note=note)
            for one in TESTED
        ],
    )


EXPERIMENT = Experiment("character_sentiment", CharacterSettings, study)


def main(name: str, settings: CharacterSettings) -> Any:
    """Train, and leave a run folder; returns what its ``result.json`` says. Or ask a trained run."""
    if settings.sentence is not None:
        return character_trained.judge(name, settings.sentence, settings.out or Path("runs") / name)
    console, trained = plain_console(), study(settings)
    console.print(characters.convention(settings))
    outcome = carry_out(name, settings, trained)
    out, began = outcome.out, time.perf_counter()
    positive = {one: outcome.fitted.metrics[f"{one.name}_positive"] for one in TESTED}
    runfolder.save_figure(_figure(positive), out / "likelihoods.png")
    console.print(_table(positive))

    compared = character_regularisers.compare(settings, outcome.fitted.progress.runs, out)
    by_way = {
        way: {metric: runfolder.metric(values) for metric, values in of_way.items()} for way, of_way in compared.items()
    }
    outcome = amended(outcome, began, regularisers=by_way)
    conclude(outcome)
    return outcome.result


def _table(positive: Mapping[Tested, Any]) -> Table:
    table = Table(title="How likely the test sentences are which, to the median run", title_justify="left")
    for column in ("sentence", "median run", "positive, lowest to highest", "right", "printed in the tutorial"):
        table.add_column(column)
    for one, values in positive.items():
        there = finite(values)
        row = [judged(values), f"{min(there):.4f} to {max(there):.4f}", one.right(values), judged([one.printed])]
        table.add_row(f"{one.text} ({CLASSES[one.label]})", *row)
    return table


def _figure(positive: Mapping[Tested, Any]) -> "Figure":
    named = {f"{one.text} ({CLASSES[one.label]})": one for one in positive}
    panel = Strip(
        "likelihood of positive",
        {name: positive[one] for name, one in named.items()},
        limits=(0, 1),
        marks={name: one.printed for name, one in named.items()},
    )
    title = "How likely the networks find the test sentences positive"
    return plots.strips.strips([panel], title, marked="printed in the tutorial", level=("undecided", 0.5))


def answers(settings: CharacterSettings, fitted: Fitted, parameters: int) -> dict[str, str]:
    """NTU's question 4, with what was measured."""
    metrics = fitted.metrics
    runs = len(metrics["test_loss"])
    positive = {one: metrics[f"{one.name}_positive"] for one in TESTED}
    said = " and ".join(
        f"{middle(values):.4f} for {one.text!r} (the tutorial prints {one.printed}; {one.right(values)} judge it right)"
        for one, values in positive.items()
    )
    both = int((metrics["test_accuracy"] == 1).sum())
    end = "up to its last one" if settings.mask else f"filled up with spaces to {sentences.LENGTH}"
    negative = sum(label == NEGATIVE for _, label in sentences.TRAIN)
    return {
        "N6": (
            f"A {NAMES[settings.cell]} layer of {settings.hidden} units reads a sentence as one-hot characters "
            f"({len(sentences.VOCABULARY)} ids), {end}, and a linear layer judges its last state. These "
            f"{parameters:,} parameters are trained on all {len(sentences.TRAIN)} sentences in each of "
            f"{settings.epochs} epochs by Adam at {settings.learning_rate:g}. {characters.convention(settings)} At the "
            f"end, without dropout, the median (lowest to highest) of {runs} run{'s' if runs > 1 else ''} is a cost of "
            f"{median_range(metrics['train_loss'])} nats and an accuracy of "
            f"{median_percent(metrics['train_accuracy'])}, where to say negative always is right for {negative} of the "
            f"{len(sentences.TRAIN)} sentences. To the median run the likelihood of positive, of which the likelihood "
            f"of negative is the rest, is {said}; {both} of {runs} judge both right. The targets say 0 for negative "
            "and 1 for positive, so the second column that the tutorial prints is the likelihood of positive, though "
            "its words read the columns the other way round."
        )
    }


if __name__ == "__main__":
    sys.exit(command("character_sentiment", CharacterSettings, main))
