"""The report as a reader has it, in a real browser: figures, tables, curves, light and dark, on a phone, for all."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.programs import PATIENCE
from experiments import report
from folders import a_run
from jaxrnn.report.collect import collect
from jaxrnn.report.page import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium (on Debian: apt install chromium)")


@pytest.fixture(scope="module")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api")
    quiet = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update"]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=BROWSER, timeout=1000 * PATIENCE, args=[*quiet, "--disable-sync", *sandbox]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """A report of a handful of runs made by hand, in every state."""
    root = tmp_path_factory.mktemp("by_hand")
    a_run(root / "mnist_compare", "mnist_compare", answers={"T19": "Row by row.", "T21": "By its gates."})
    a_run(root / "mnist_compare" / "gru", "mnist_gru", answers={"T11": "28"}, seconds={"total": 3.0})
    a_run(root / "mnist_compare" / "rnn", "mnist_rnn", answers={"T11": "28 rows"}, seconds={"total": 200.0})
    a_run(root / "mnist_gru.1", "mnist_gru", seconds={"total": 4.0})
    a_run(root / "parity", "parity", config={"quick": True}, answers={"T1": "XOR"}, seconds={"total": 30.0})
    (root / "names").mkdir()
    (root / "names" / "config.json").write_text("{}")
    (root / "report.html").write_text(render(report.compose(collect(root), root, {})))
    return root / "report.html"


@pytest.fixture(scope="module")
def of_quick_runs(tmp_path_factory):
    """A report as `experiments.all` makes it, of quick runs."""
    root = tmp_path_factory.mktemp("quick")
    names = ["parity", "lagged_regression", "tanh_vs_sigmoid", "mnist_gru"]
    words = [sys.executable, "-m", "experiments.all", "--quick", "--out", str(root), "--only", *names]
    done = subprocess.run(words, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return root / "report.html"


REPORTS = ["by_hand", pytest.param("of_quick_runs", marks=pytest.mark.slow)]


@contextlib.contextmanager
def opened(browser, report, width=1200, **options):
    """The page, and afterwards the certainty that it asked for nothing, and that the browser had nothing to object."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    yield page
    context.close()
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}


@pytest.mark.parametrize("made", REPORTS)
def test_every_figure_loads_and_is_described(made, chromium, request):
    with opened(chromium, request.getfixturevalue(made)) as page:
        images = page.evaluate(
            "[...document.images].map(i => [i.complete && i.naturalWidth, i.alt, !!i.closest('dialog')])"
        )
    shown = [(width, alt) for width, alt, large in images if not large]
    assert shown and all(width > 0 and alt for width, alt in shown)


@pytest.mark.parametrize("made", REPORTS)
@pytest.mark.parametrize("width", [360, 800, 1100])
def test_nothing_scrolls_sideways(made, width, chromium, request):
    with opened(chromium, request.getfixturevalue(made), width) as page:
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        wide = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
            ".map(e => e.outerHTML.slice(0, 200))"
        )
        assert wide == [] and page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("made", REPORTS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(made, scheme, chromium, request):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with opened(chromium, request.getfixturevalue(made), color_scheme=scheme, bypass_csp=True) as page:
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_what_is_not_answered_has_a_dashed_frame(chromium, by_hand):
    def frames(page, state):
        return page.evaluate(
            f"[...document.querySelectorAll('.ids .{state} a')].map(a => getComputedStyle(a).borderTopStyle)"
        )

    with opened(chromium, by_hand) as page:
        for state in ("stopped", "small", "missing"):
            assert set(frames(page, state)) == {"dashed"}
        assert set(frames(page, "finished")) == {"solid"}


def test_tables_sort_by_words_and_by_numbers(chromium, by_hand):
    with opened(chromium, by_hand) as page:
        table = page.locator("table.sortable").first

        def column(number):
            return table.locator(f"tbody tr td:nth-child({number})").all_text_contents()

        table.get_by_role("button", name="experiment").click()
        assert column(1) == sorted(column(1))
        table.get_by_role("button", name="experiment").click()
        assert column(1) == sorted(column(1), reverse=True)
        assert table.locator("th").first.get_attribute("aria-sort") == "descending"
        seconds = {"4.0 s": 4, "30 s": 30, "90 s": 90, "3 min": 200}
        for turns in (1, -1):
            table.get_by_role("button", name="time").click()
            times = [re.sub(r" *\d+ x cpu", "", text).strip() for text in column(6)]
            filled = [seconds[text] for text in times if text]
            assert filled == sorted(filled)[::turns] and times[len(filled) :] == [""] * (len(times) - len(filled))
        assert table.locator("th[aria-sort]").count() == 1


def test_a_figure_is_enlarged_by_mouse_and_by_keys(chromium, by_hand):
    with opened(chromium, by_hand) as page:
        dialog = page.locator("dialog")
        assert not dialog.is_visible()
        page.locator(".enlarge").first.click()
        assert dialog.is_visible() and dialog.locator("img").get_attribute("alt")
        first = dialog.locator("p").text_content()
        assert first.startswith("Figure 1: ")
        page.keyboard.press("ArrowRight")
        assert dialog.locator("p").text_content().startswith("Figure 2: ")
        dialog.get_by_role("button", name="Before").click()
        assert dialog.locator("p").text_content() == first
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        page.locator(".enlarge").nth(1).focus()
        page.keyboard.press("Enter")
        assert dialog.is_visible() and dialog.locator("p").text_content().startswith("Figure 2: ")
        dialog.get_by_role("button", name="Close").click()
        assert not dialog.is_visible()


def test_curves_say_their_values_under_the_pointer_and_by_keys(chromium, by_hand):
    with opened(chromium, by_hand) as page:
        chart = page.locator(".chart").first  # of mnist_compare's parts: 61, 71, 81 % in the mean of three runs
        reading, plot = chart.locator(".reading"), chart.locator(".plot")
        idle = reading.text_content()
        plot.scroll_into_view_if_needed()
        box = chart.locator(".plot svg").bounding_box()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
        assert reading.text_content().startswith("At epoch 2: ") and "71 (70 to 72)" in reading.text_content()
        page.mouse.move(box["x"] + 0.98 * box["width"], box["y"] + 0.5 * box["height"])
        assert "At epoch 3: " in reading.text_content() and "81 (80 to 82)" in reading.text_content()
        page.mouse.move(0, 0)
        assert reading.text_content() == idle
        plot.focus()
        page.keyboard.press("Home")
        assert (
            plot.get_attribute("aria-valuetext").startswith("At epoch 1: ")
            and "61 (60 to 62)" in reading.text_content()
        )
        page.keyboard.press("ArrowRight")
        assert "At epoch 2: " in reading.text_content() and plot.get_attribute("aria-valuenow") == "2"
        page.keyboard.press("End")
        page.keyboard.press("ArrowRight")
        assert "At epoch 3: " in reading.text_content()


def test_light_and_dark_by_the_system_and_by_the_button(chromium, by_hand):
    def background(page):
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    with opened(chromium, by_hand, color_scheme="light") as page:
        light = background(page)
    with opened(chromium, by_hand, color_scheme="dark") as page:
        dark = background(page)
        button = page.get_by_role("button", name="Colours")
        seen = [dark]
        for _ in range(3):
            button.click()
            seen.append(background(page))
        button.click()
        page.reload()
        assert background(page) == light  # what was chosen is kept
    assert light == "rgb(255, 255, 255)" and seen == [dark, light, dark, dark] and dark != light


def test_it_prints_on_white_without_what_is_for_the_screen(chromium, by_hand):
    with opened(chromium, by_hand, color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert not page.locator("nav").is_visible() and page.locator("figure").first.is_visible()
        assert page.locator("details").count() > page.locator("details.runs").count() > 0
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not(.runs):not([open])").count() == page.locator("details.runs[open]").count() == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details[open]").count() == 0
        assert page.pdf()[:5] == b"%PDF-"


def test_without_scripts_all_is_there(chromium, by_hand):
    with opened(chromium, by_hand, java_script_enabled=False) as page:
        assert page.locator(".plot path.line").first.is_visible() and page.locator("img").first.is_visible()
        assert page.get_by_text("Row by row.").is_visible() and not page.locator("#mode").is_visible()
        assert page.locator("[tabindex]").count() == 0 and not page.locator(".by-script").first.is_visible()
