"""All papers, and the index of their questions that `experiments/README.md` is.

python -m experiments.papers.index > experiments/README.md
"""

from collections.abc import Iterator

from experiments.papers import Paper, amsterdam, lisbon, nanyang, rochester, toronto

PAPERS: tuple[Paper, ...] = (rochester.PAPER, toronto.PAPER, nanyang.PAPER, amsterdam.PAPER, lisbon.PAPER)
"""The papers, in the order of the report."""

_HEAD = """\
# Where the papers' questions are answered

A command leaves its answers in `runs/<command>/result.json`, under `answers`, by the ids below, and its figures beside
it. `python -m experiments.all` runs all commands (`--quick` in minutes, on small data), and `python -m
experiments.report` puts every answer, its figures and its numbers into one page, `runs/report.html`.

This page is written by `python -m experiments.papers.index`, from the modules in `experiments/papers/`.
"""


def index() -> str:
    """The index as Markdown: for each paper a table of ids, questions, commands, and where the answer stands."""
    return "\n".join([_HEAD, *(line for paper in PAPERS for line in _paper(paper))])


def _paper(paper: Paper) -> Iterator[str]:
    yield f"## {paper.title}"
    yield ""
    yield f"{paper.course}. {paper.cite}"
    yield ""
    yield "| id | where | what is asked | command | the answer stands in |"
    yield "| --- | --- | --- | --- | --- |"
    for one in paper.questions:
        first, *others = one.commands
        said = f"`python -m experiments.{first}`" + (f"; also {', '.join(others)}" if others else "")
        figures = "".join(f", `{figure}`" for figure in one.figures)
        answer = f"`{first}/result.json`{figures}"
        cells = (one.id, one.place, one.question, said, answer)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield ""


if __name__ == "__main__":
    print(index(), end="")
