"""The page itself: what stands on it, and the one HTML file that it becomes, with styles, script and figures inside."""

import base64
import io
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup
from PIL import Image

STATES = {
    "finished": "done",
    "small": "small data only",
    "stopped": "not finished",
    "failed": "failed",
    "broken": "cannot be read",
    "missing": "not run yet",
}
"""What has become of a run or a question, as the page says it."""


class Column(NamedTuple):
    """A column of a table; numbers stand at its right."""

    name: str
    number: bool = False


class Cell(NamedTuple):
    """What stands in a table at one place."""

    text: str
    value: float | None = None
    """The number that it is sorted by."""
    link: str | None = None
    code: bool = False
    state: str | None = None
    """One of `STATES`, shown in place of the text."""
    small: str = ""
    """What stands below the text, in small letters."""


class Table(NamedTuple):
    """A table; without rows it is left out."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


class Figure(NamedTuple):
    """A figure inside the page."""

    number: int
    title: str
    file: str
    """Its path, as seen from the folder of all runs."""
    alt: str
    source: Markup
    """A ``data:`` address: the PNG itself."""
    width: int
    height: int


class Figures(NamedTuple):
    """The figures of one place: those shown there, and those that stand further up already."""

    new: Sequence[Figure]
    old: Sequence[Figure]
    broken: Sequence[str]
    """The files that are there, and are no images."""


LARGE = 150_000
"""A figure of more bytes goes into the page in 256 colours, a third of its size; the file keeps all of them."""


def with_few_colours(png: bytes) -> bytes:
    """A PNG in the 256 colours that suit it best."""
    smaller = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        few = image.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        few.save(smaller, "PNG")
    return smaller.getvalue()


class Album:
    """The figures of a page, numbered in their order; none is put into it twice."""

    def __init__(self, root: Path):
        self._root = root
        self._placed: dict[Path, Figure] = {}

    def place(self, paths: Sequence[Path]) -> Figures:
        """The figures for one place."""
        old = [self._placed[path] for path in paths if path in self._placed]
        new, broken = [], []
        for path in (path for path in paths if path not in self._placed):
            try:
                self._placed[path] = self._read(path)
            except (OSError, SyntaxError, ValueError):  # Pillow raises any of them on half a file
                broken.append(path.relative_to(self._root).as_posix())
            else:
                new.append(self._placed[path])
        return Figures(new, old, broken)

    def _read(self, path: Path) -> Figure:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            said, (width, height) = dict(image.info), image.size
            image.verify()
        if len(data) > LARGE:
            data = with_few_colours(data)
        title = said.get("Title") or path.stem.replace("_", " ")
        alt = said.get("Description") or title
        source = Markup("data:image/png;base64,") + Markup(base64.b64encode(data).decode())
        file = path.relative_to(self._root).as_posix()
        return Figure(len(self._placed) + 1, title, file, alt, source, width, height)


class Entry(NamedTuple):
    """A question, and its answer."""

    id: str
    place: str
    question: str
    state: str
    note: str
    """What is missing or was on small data only; nothing where all is well."""
    answer: str
    figures: Figures
    numbers: Table
    command: str
    others: Sequence[dict[str, str]]
    """What further commands say: ``name`` and ``answer``."""


class Section(NamedTuple):
    """A paper."""

    key: str
    short: str
    title: str
    cite: str
    answered: str
    """How many of its questions are answered, in words."""
    entries: Sequence[Entry]


class Card(NamedTuple):
    """A command: the run of it that is shown, and what else there is of it."""

    name: str
    state: str
    facts: str
    note: str
    command: str
    chart: dict[str, Any] | None
    figures: Figures
    numbers: Table
    settings: Table
    runs: Table


class Page(NamedTuple):
    """All that stands on the page."""

    title: str
    facts: Sequence[str]
    overview: Table
    sections: Sequence[Section]
    cards: Sequence[Card]
    others: Table
    """Run folders of which it is not known what they are runs of."""
    closing: str


def render(page: Page) -> str:
    """The page as one HTML file."""
    return _template().render(page._asdict()).lstrip()


@cache
def _template() -> jinja2.Template:
    """What a page is filled into, with all that is the same on every page."""
    here = resources.files("jaxrnn.report")
    files = {kind: (here / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")}
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    same = {"css": Markup(files["css"]), "js": Markup(files["js"]), "states": STATES}
    return environment.from_string(files["html"], globals=same)
