"""Names of people, learned letter by letter, and new ones drawn from all letters or the k likeliest (IST, prog. 2).

python -m experiments.names [--names FILE|FOLDER], and then --language Italian --starts-with Ro
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from rich.table import Table

from experiments import name_model, name_samples, name_trained
from experiments.name_model import PAPER_EPOCHS, NameSettings
from experiments.name_samples import KS, Sample, label
from jaxrnn import plots, runfolder
from jaxrnn.command import command, plain_console
from jaxrnn.data.names import Names
from jaxrnn.plots.strips import Strip
from jaxrnn.plots.style import finite
from jaxrnn.study import Experiment, Outcome, amended, carry_out, conclude
from jaxrnn.train import steps_per_epoch
from jaxrnn.words import NAMES, median_percent, median_range

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPERIMENT = Experiment("names", NameSettings, name_model.study, name_model.load)

EXAMPLES = 8
"""How many names of each k are printed."""


def main(name: str, settings: NameSettings) -> Any:
    """Train, and leave a run folder; returns what its ``result.json`` says. Or ask a trained run."""
    if settings.asks:
        return name_trained.ask(name, settings, settings.out or Path("runs") / name)
    settings = settings.settled()
    data = name_model.load(settings)
    study = name_model.study(settings, data)
    outcome = carry_out(name, settings, study)
    began = time.perf_counter()

    judge = name_samples.classifier(data)
    recall = name_samples.recall(data, judge)
    sound = np.flatnonzero(jax.device_get(outcome.fitted.progress.runs.failed_at) < 0)
    models = jax.tree.map(lambda leaf: leaf[sound], outcome.fitted.progress.runs.final)
    samples = name_samples.samples(models, data, judge, settings.seed, settings.samples or 100)
    measured = by_k(samples)
    show(outcome, data, samples, measured, recall)

    best, lowest = lowest_loss(outcome)
    metrics: dict[str, Any] = {
        "ids": data.alphabet.size,
        "updates": settings.total_epochs() * steps_per_epoch(study.task, study.train),
        "updates_one_at_a_time": PAPER_EPOCHS * len(data.train),
        "lowest_test_loss": lowest,
        "lowest_test_loss_epoch": best,
        "names_written": len(samples[0].new),
    }
    metrics |= {
        f"{measure}_{k}": of_k[measure]
        for k, of_k in measured.items()
        for measure in ("novelty", "duplicates", "nll", "length")
    }
    if len(data.languages) > 1:
        metrics |= {f"language_match_{k}": of_k["match"] for k, of_k in measured.items() if k != "all"}
        metrics |= {
            "language_match": measured["all"]["match"],
            "language_match_new": measured["all"]["match_new"],
            "chance": [1 / len(data.languages)],
            "classifier_recall": [float(np.nanmean(recall))],
        }
    outcome = amended(
        outcome,
        began,
        metrics=outcome.result["metrics"] | {name: runfolder.metric(values) for name, values in metrics.items()},
        answers=answers(settings, data, outcome, samples, measured, recall, metrics["updates"]),
    )
    conclude(outcome)
    return outcome.result


def lowest_loss(outcome: Outcome) -> tuple[int, list[float]]:
    """The epoch after which the loss on held-out names was lowest in the median of the runs, and what it was then."""
    losses: dict[int, list[float]] = {}
    for row in outcome.fitted.progress.history:
        losses.setdefault(row["epoch"], []).append(row["test_loss"])
    middle = {epoch: float(np.median(values)) for epoch, of in losses.items() if (values := finite(of))}
    best = min(middle, key=lambda epoch: middle[epoch])
    return best, losses[best]


def by_k(samples: Sequence[Sample]) -> dict[str, dict[str, list[float]]]:
    """What the samples come to: by k, by measure, a value for each run."""
    found: dict[str, dict[str, list[float]]] = {label(k): {} for k in KS}
    for sample in samples:
        for measure, value in sample.measures.items():
            found[label(sample.k)].setdefault(measure, []).append(value)
    return found


# --- what is shown ----------------------------------------------------------------------------------------------------


def show(
    outcome: Outcome,
    data: Names,
    samples: Sequence[Sample],
    measured: Mapping[str, Mapping[str, Any]],
    recall: np.ndarray,
) -> None:
    """The table, the files and the figures of what was written."""
    out = outcome.out
    console = plain_console()
    console.print(_table(measured, len(data.languages) > 1))
    for k in measured:
        console.print(f"{'all letters' if k == 'all' else f'k = {k}'}: {', '.join(examples(samples, k))}")
    runfolder.write_csv(out / "names_by_k.csv", [_numbers(sample) for sample in samples])
    runfolder.write_csv(out / "written.csv", [row for sample in samples for row in _rows(sample)])
    runfolder.save_figure(_by_k_figure(outcome, data, measured), out / "names_by_k.png")
    if len(data.languages) > 1:
        runfolder.save_figure(_language_figure(data, samples, recall), out / "languages.png")


def _numbers(sample: Sample) -> dict[str, Any]:
    return {"k": label(sample.k), "run": sample.run, "names": len(sample.new), **sample.measures}


def _rows(sample: Sample) -> list[dict[str, Any]]:
    written = sample.written
    each = zip(written.names, written.costs, written.ended, sample.new, sample.taken_for, strict=True)
    return [
        {"k": label(sample.k), "run": sample.run, "language": name.language, "name": name.text,
         "log_probability": -cost, "ended": ended, "new": new, "taken_for": taken}
        for name, cost, ended, new, taken in each
    ]  # fmt: skip


def _table(measured: Mapping[str, Mapping[str, Any]], languages: bool) -> Table:
    table = Table(title="Names written, by how many of the likeliest letters are drawn from", title_justify="left")
    for column in ("k", "new", "repeated", "nats a letter", "letters", *(["language as asked"] * languages)):
        table.add_column(column, justify="right")
    for k, of_k in measured.items():
        row = [median_percent(of_k["novelty"]), median_percent(of_k["duplicates"])]
        row += [median_range(of_k[measure]) for measure in ("nll", "length")]
        row += [median_percent(of_k["match"])] * languages
        table.add_row(k, *row)
    return table


def examples(samples: Sequence[Sample], k: str) -> list[str]:
    """A few different names that the first run wrote from the k likeliest letters, evenly from all that it wrote."""
    first = next(sample for sample in samples if label(sample.k) == k)
    texts = list(dict.fromkeys(name.text for name in first.written.names))
    places = np.linspace(0, len(texts) - 1, min(EXAMPLES, len(texts))).round().astype(int)
    return [texts[place] or "(no letter)" for place in places]


def _by_k_figure(outcome: Outcome, data: Names, measured: Mapping[str, Mapping[str, Any]]) -> "Figure":
    rows = {k: f"k = {k}" if k != "all" else "all letters" for k in measured}

    def panel(measure, name, scale=1.0, limits=None):
        return Strip(
            name, {row: [scale * value for value in measured[k][measure]] for k, row in rows.items()}, limits=limits
        )

    panels = [
        panel("novelty", "new (%)", 100, (0, 100)),
        panel("duplicates", "repeated (%)", 100, (0, 100)),
        panel("nll", "nats a letter"),
        panel("length", "letters a name"),
    ]
    return plots.strips.strips(panels, "Names drawn from the k likeliest letters at each step")


def _language_figure(data: Names, samples: Sequence[Sample], recall: np.ndarray) -> "Figure":
    free = [sample for sample in samples if sample.k is None]

    def matches(sample, language):
        of = [
            match
            for match, name, new in zip(sample.matches, sample.written.names, sample.new, strict=True)
            if name.language == language and new
        ]
        return 100 * float(np.mean(of)) if of else None

    panel = Strip(
        "new names taken for the language asked for (%)",
        {language: [matches(sample, language) for sample in free] for language in data.languages},
        limits=(0, 100),
        marks={
            language: 100 * value for language, value in zip(data.languages, recall, strict=True) if np.isfinite(value)
        },
    )
    return plots.strips.strips(
        [panel],
        "Are new names of the language that was asked for? A classifier of letter pairs judges",
        marked="held-out names that it recognises",
        level=("chance", 100 / len(data.languages)),
    )


def answers(
    settings: NameSettings,
    data: Names,
    outcome: Outcome,
    samples: Sequence[Sample],
    measured: Mapping[str, Mapping[str, Any]],
    recall: np.ndarray,
    updates: int,
) -> dict[str, str]:
    """IST's questions on the character network, its training and its names, with what was measured."""
    (by_frequency,) = (one["value"] for one in outcome.result["reference"])
    alphabet, h, v = data.alphabet, settings.hidden, data.alphabet.size
    metrics, many = outcome.fitted.metrics, len(data.languages) > 1
    best, lowest = lowest_loss(outcome)
    rises = float(np.nanmedian(metrics["test_loss"])) > 1.01 * float(np.nanmedian(lowest))
    heart = " and rises from then on, as the listed names are learned by heart" if rises else ""
    start = f"one of {len(data.languages)} starts, a language each" if many else "the start"
    step = " = tanh(x_t W_x + b_x + h_(t-1) W_h + b_h)" if settings.cell == "elman" else ""
    one, three, free = (", ".join(examples(samples, k)[:3]) for k in ("1", "3", "all"))
    course = {measure: _course(measured, measure) for measure in ("novelty", "duplicates", "nll")}
    choice = (
        " So k is a choice between likely names that are often repeated and new ones that are stranger."
        if course == {"novelty": "rises", "duplicates": "falls", "nll": "rises"}
        else ""
    )
    different = [len(set(sample.written.names)) for sample in samples if sample.k == 1]
    written = len(samples[0].written.names)
    language = (
        f" A classifier of letter pairs takes {median_percent(measured['all']['match'])} of those drawn from all "
        f"letters for names of the language that was asked for, where chance is {100 / len(data.languages):.1f} % and "
        f"it recognises {100 * np.nanmean(recall):.1f} % of the real names held out (mean over the languages)."
        if many
        else ""
    )
    theirs = (
        f" The paper asks for {PAPER_EPOCHS:,} epochs: with one of these names at a time that would be "
        f"{PAPER_EPOCHS * len(data.train):,} updates, while here there were {updates:,}."
        if settings.epochs != PAPER_EPOCHS
        else ""
    )
    return {
        "I5": (
            f"At each step the network reads one of {v} ids, as a one-hot vector x_t: first {start}, then the "
            f"{len(alphabet.characters)} characters. From it and h_(t-1), with h_0 = 0, the {NAMES[settings.cell]} "
            f"layer makes its {h} outputs h_t{step}. The output layer makes of them a probability of each id, "
            "p(next) = softmax(h_t V + c); one of the ids is the end of a name. All names of a batch are computed "
            f"together, and what stands behind a name's end does not count. There are "
            f"{outcome.result['parameters']:,} parameters."
        ),
        "I6": (
            f"The network was trained for {settings.epochs:,} epochs on {len(data.train):,} names in batches of "
            f"{settings.batch}, by Adam at a learning rate of {settings.learning_rate:g}, with {h} hidden units."
            f"{theirs} The loss is the negative log-likelihood of a character, the end counted as one. At the end it "
            f"is {median_range(metrics['train_loss'])} nats on the names learned and "
            f"{median_range(metrics['test_loss'])} on the {len(data.test):,} held out. On these it was lowest after "
            f"epoch {best}, with {median_range(lowest)}{heart}; knowing only how often each character occurs costs "
            f"{by_frequency:.3g}."
        ),
        "I7": (
            f"For each k, {len(different)} run{'s' * (len(different) > 1)} wrote {written:,} names"
            f"{' each' * (len(different) > 1)}, each letter drawn from the k likeliest: such as {one} with k = 1, "
            f"{three} with k = 3, and {free} with all letters. With k = 1 nothing is random, and "
            f"{len(data.languages)} start{'s' * many} gave {median_range(different)} name{'s' * many}. From each k to "
            f"the next, the share of names that are not in the training list {course['novelty']}, that of repeated "
            f"ones {course['duplicates']}, and the mean cost of a letter in nats (the less likely, the more) "
            f"{course['nll']}.{choice}{language}"
        ),
    }


def _course(measured: Mapping[str, Mapping[str, Any]], measure: str) -> str:
    """Which way the median of a measure goes from each k to the next."""
    steps = np.diff([float(np.median(of_k[measure])) for of_k in measured.values()])
    return "rises" if (steps > 0).all() else "falls" if (steps < 0).all() else "neither rises nor falls throughout"


if __name__ == "__main__":
    sys.exit(command("names", NameSettings, main))
