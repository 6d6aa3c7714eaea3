"""The page in a browser: what a reader does with it, without an error, a request or a word cut off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import NEEDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.extended]
WIDTHS = {"desk": (1440, 900), "phone": (390, 844)}
EXAMPLE = Path(__file__).parents[1] / "reports/example/index.html"
DENIED = "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('denied')); }"
UNFOLD = """() => {
  for (const box of document.querySelectorAll('details')) box.open = true;
  for (const part of document.querySelectorAll('section.dataset')) part.hidden = false;
}"""
Opened = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, sorted(NEEDS["browser"][0]))), None)
    assert found, f"no browser: {NEEDS['browser'][1]}"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser: Browser, site: Path) -> Iterator[Opened]:
    """Opens the page; at the end nothing may have been requested, logged or thrown."""
    faults: list[str] = []
    contexts = []

    def note(request: Any) -> None:
        if not request.url.startswith((site.as_uri(), EXAMPLE.as_uri(), "data:")):
            faults.append(f"request: {request.url}")

    def open_page(
        query: str = "", *, width: str = "desk", dark: bool = False, of: Path = site
    ) -> Page:
        context = browser.new_context(
            viewport=dict(zip(("width", "height"), WIDTHS[width], strict=True)),  # type: ignore[arg-type]
            color_scheme="dark" if dark else "light",
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.on("request", note)
        page.on("console", lambda said: faults.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(of.as_uri() + query)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def serious(page: Page) -> list[str]:
    """What axe finds on a page that keeps people from reading it."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{one['id']} ({one['impact']}): {one['help']}; first of {len(one['nodes'])}: {one['nodes'][0]['html'][:200]}"
        for one in Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def column(table: Locator, number: int) -> list[float]:
    """The values of a table's column as its rows stand; NaN where there is none."""
    cells = table.locator(f"tbody tr > :nth-child({number})")
    return [float(one.get_attribute("data-value") or "nan") for one in cells.all()]


@pytest.mark.parametrize(("place", "number", "holes"), [("acdc_cost", 3, 0), ("acdc_strict", 5, 1)])
def test_a_heading_sorts_both_ways_with_holes_last(opened, place, number, holes):
    table = opened().locator(f"#{place}")
    known = [value for value in column(table, number) if value == value]
    assert len(set(known)) + holes > 1
    heading = table.locator(f"th[data-column='{number - 1}']")
    for order in ("ascending", "descending"):
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == order
        assert table.locator("[aria-sort]").count() == 1
        found = column(table, number)
        assert found[: len(known)] == sorted(known, reverse=order == "descending")
        assert len(found) - len(known) == holes


def test_text_is_shown_as_text(opened):
    page = opened("#gaps")
    page.locator("#gaps").get_by_role("button", name="Reason").click()
    assert "the loss is <nan> & more" in page.locator("#gaps").inner_text()


def test_a_filter_hides_rows_and_says_how_many_are_left(opened):
    page = opened()
    field, rows = page.locator("[data-table=acdc_cost].filter"), page.locator("#acdc_cost tbody tr")
    said = page.locator("[data-counts=acdc_cost]")
    for typed, shown, text in (
        ("TRANS sal", [4], "1 of 6 rows"),
        ("transunet", [3, 4, 5], "3 of 6 rows"),
        ("no such network", [], "0 of 6 rows"),
        ("", [0, 1, 2, 3, 4, 5], ""),
    ):
        field.fill(typed)
        assert [at for at, row in enumerate(rows.all()) if row.is_visible()] == shown
        assert said.inner_text() == text


def test_the_protocol_is_switched_and_linked(opened):
    page = opened()
    strict, paper = page.locator("#acdc_strict"), page.locator("#acdc_paper")
    assert strict.is_visible()
    assert not paper.is_visible()
    page.get_by_text("paper", exact=True).first.click()
    assert paper.is_visible()
    assert not strict.is_visible()
    assert page.url.endswith("?protocol=paper")
    assert opened("?protocol=paper").locator("#acdc_paper").is_visible()
    assert opened("#acdc_paper_dice").locator("#acdc_paper_dice").is_visible()


def test_a_cell_leads_to_its_worst_pictures_in_one_click(opened):
    page = opened()
    link = page.locator("#acdc_strict a.number").nth(1)
    title = page.locator(link.get_attribute("href") or "")
    link.click()
    pictures = title.locator("xpath=following-sibling::ul[1]")
    worst = pictures.locator("li", has_text="worst")
    assert worst.is_visible()
    worst.scroll_into_view_if_needed()
    assert (
        worst.locator("img").first.evaluate(
            "image => image.decode().then(() => image.naturalWidth)"
        )
        >= 320
    )
    top = title.evaluate("element => element.getBoundingClientRect().top")
    assert 0 <= top < WIDTHS["desk"][1]
    page.locator("#errors").check()
    assert worst.locator(".map img").is_visible()
    assert not worst.locator("img").first.is_visible()


@pytest.mark.parametrize("allowed", [True, False])
def test_tables_are_copied_with_and_without_the_clipboards_leave(opened, allowed):
    page = opened()
    if not allowed:
        page.evaluate(DENIED)
    place = page.locator("#acdc_strict").locator("xpath=../following-sibling::div[1]")
    texts = json.loads(page.locator("#texts").text_content() or "")["acdc_strict"]
    for label, kind in (("Copy LaTeX", "tex"), ("Copy CSV", "csv")):
        place.get_by_role("button", name=label).click()
        place.get_by_text("copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == texts[kind]
    assert texts["tex"].startswith("% needs")


def test_the_keyboard_is_enough(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#verdict")
    page.locator("#protocol-strict").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("#acdc_paper").is_visible()
    page.locator("#acdc_paper thead button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#acdc_paper th[aria-sort=ascending]").count() == 1
    link = page.locator("#acdc_paper a.number").first
    link.focus()
    assert link.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash").startswith("#cases-acdc-")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(opened, width, dark):
    page = opened(width=width, dark=dark)
    page.evaluate(UNFOLD)
    inner = page.evaluate("document.documentElement.scrollWidth")
    assert inner <= WIDTHS[width][0]
    cut = (
        "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).map(box => box.ariaLabel)"
    )
    assert page.locator(".scroll:has(> .overview)").evaluate_all(cut) == []
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, shade[4:-1].split(","))) < 3 * 128) == dark


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", WIDTHS)
def test_axe_finds_nothing_serious(opened, width, dark):
    page = opened(width=width, dark=dark)
    page.evaluate(UNFOLD)
    assert serious(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_example_is_as_wide_as_the_screen_and_axe_finds_nothing_serious(opened, width):
    """The page of real samples that the repository holds, every dataset of it."""
    page = opened(width=width, dark=width == "phone", of=EXAMPLE)
    page.evaluate(UNFOLD)
    assert page.locator("section.dataset:visible").count() > 1
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width][0]
    assert serious(page) == []


def test_axe_finds_what_is_there(opened):
    """The check above can fail."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened()
    page.evaluate(
        "() => { document.querySelector('#errors').parentElement.replaceWith(document.querySelector('#errors')); }"
    )
    found = {
        one["id"] for one in Axe().run(page).response["violations"] if one["impact"] == "critical"
    }
    assert found == {"label"}
