"""Neurons over a text: what is drawn where, and a page that text cannot break."""

import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxrnn.plots import neuron_page, neurons

TEXT = 'a <b>\n&"'
UNITS = {"first <unit>": np.linspace(-1, 1, 8), "second": np.zeros(8)}
EXPECTED = [[(following, 0.7), ("x", 0.2), ("\t", 0.1)] for following in [*TEXT[1:], "z"]]


@pytest.fixture(scope="module")
def figure():
    return neurons.neurons(TEXT, UNITS, EXPECTED, "A title")


def test_letters_stand_over_their_columns(figure):
    (axes, *_) = figure.axes
    written = {(int(text.get_position()[0]), int(text.get_position()[1])): text.get_text() for text in axes.texts}
    assert "".join(written[column, 0] for column in range(8)) == 'a␣<b>↵&"'
    assert "".join(written[column, 3] for column in range(8)) == '␣<b>↵&"z'
    assert {written[column, 4] for column in range(8)} == {"x"} and {written[column, 5] for column in range(8)} == {"→"}
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["read", *UNITS, *(f"expected next, no. {rank}" for rank in (1, 2, 3))]


def test_colours_are_the_outputs_and_the_probabilities(figure):
    first, second, shades = (image.get_array() for image in figure.axes[0].images)
    np.testing.assert_allclose(first, UNITS["first <unit>"][None])
    np.testing.assert_allclose(second, 0)
    np.testing.assert_allclose(shades, np.repeat([[0.7], [0.2], [0.1]], 8, 1))


def test_a_frame_is_around_what_came(figure):
    frames = [patch.get_xy() for patch in figure.axes[0].patches]
    assert frames == [(column - 0.5, 2.5) for column in range(7)]  # after the last character nothing came


def test_a_long_text_is_shown_in_part():
    text = "ab" * 150
    drawn = neurons.neurons(text, {"unit": np.zeros(300)}, [[("a", 1.0)]] * 300, "A title")
    lines = [axes for axes in drawn.axes if axes.images]
    assert [axes.images[0].get_array().shape[1] for axes in lines] == [50] * 4


class Page(HTMLParser):
    """The characters of each text on a page, its hints, and the tags that are open at the end."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.hints, self.links = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.open += [] if tag == "meta" else [tag]
        attributes = dict(attributes)
        self.links += [attributes[name] for name in ("src", "href") if name in attributes]
        if tag == "div" and attributes["class"] == "text":
            self.seen.append("")
        if "title" in attributes:
            self.hints.append(attributes["title"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "div" in self.open and self.seen:
            self.seen[-1] += data


def test_a_page_holds_all_of_the_text_and_needs_nothing_else():
    page = neuron_page.page(TEXT, UNITS, EXPECTED, "A <title>")
    read = Page(page)
    assert read.open == [] and read.links == [] and "http" not in page and "<b>" not in page
    assert read.seen == ['a <b>↵\n&"'] * 2
    assert read.hints[0] == "-1.00; after a comes ␣ 70%, x 20%, → 10%" and len(read.hints) == 16
    assert "A &lt;title&gt;" in page and "prefers-color-scheme: dark" in page


def test_every_letter_can_be_read_on_its_colour():
    page = neuron_page.page(TEXT, UNITS, EXPECTED, "A title")
    pairs = re.findall(r"background:#(\w{6});color:#(\w{6})", unescape(page))
    assert len(pairs) == 9 + 16

    def luminance(colour):
        parts = np.array([int(colour[place : place + 2], 16) for place in (0, 2, 4)]) / 255
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    for ground, letter in pairs:
        dark, light = sorted([luminance(ground), luminance(letter)])
        assert (light + 0.05) / (dark + 0.05) > 4.5
