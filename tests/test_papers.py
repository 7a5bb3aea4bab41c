"""The index of the papers' questions: complete, true to the commands, and written into experiments/README.md."""

import importlib
import re
from pathlib import Path

import pytest

from experiments import EXPERIMENTS, TOOLS, all
from experiments.papers.index import PAPERS, index
from jaxrnn import command
from test_experiments import ANSWERS, QUESTIONS

COUNTS = {"R": 10, "T": 22, "N": 6, "U": 17, "I": 9}


def test_every_question_is_there_once_and_in_the_papers_order():
    wanted = [f"{letter}{number}" for letter, count in COUNTS.items() for number in range(1, count + 1)]
    assert [question.id for paper in PAPERS for question in paper.questions] == wanted and len(wanted) == 64


def test_who_answers_what_agrees_with_what_the_commands_answer():
    answered = {name: {one.id for one in QUESTIONS.values() if name in one.commands} for name in EXPERIMENTS}
    assert answered == ANSWERS
    empty = [one.id for one in QUESTIONS.values() if not (one.commands and one.place and one.question)]
    assert empty == []


def test_the_readme_cites_the_papers():
    readme = " ".join((Path(__file__).parents[1] / "README.md").read_text().split())
    assert [paper.cite for paper in PAPERS if paper.cite not in readme] == []


def test_the_index_is_in_experiments_readme():
    written = (Path(__file__).parents[1] / "experiments" / "README.md").read_text()
    assert written == index(), "run python -m experiments.papers.index > experiments/README.md"
    assert [one for one in QUESTIONS if f"\n| {one} | " not in written] == []


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`python -m experiments\.([^`]*)`", index()))))
def test_every_command_of_the_index_exists_and_parses(line):
    name, *words = line.replace("\n", " ").split()
    if name.startswith("papers"):
        assert hasattr(importlib.import_module(f"experiments.{name}"), "index")
        return
    assert name in (*EXPERIMENTS, *TOOLS)
    module = importlib.import_module(f"experiments.{name}")
    kind = module.Settings if name in TOOLS else all.settings_of(name, words)
    command.parse(name, kind, words)
