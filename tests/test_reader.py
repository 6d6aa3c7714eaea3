"""Five questions of a first-time reader, answered by clicking."""

from __future__ import annotations

import pytest

from tests.test_browser import WIDTHS, browser, opened

__all__ = ["browser", "opened"]
pytestmark = [pytest.mark.browser, pytest.mark.extended]


def test_which_module_helps_where_stands_on_the_first_screen_and_one_click_behind(opened):
    page = opened()
    for place in page.locator(".reply .word").all():
        box = place.bounding_box()
        assert box
        assert box["y"] + box["height"] < WIDTHS["desk"][1]
    assert "undecided" in page.locator(".reply").first.inner_text()
    page.get_by_role("link", name="ISIC 2018").first.click()
    title = page.locator("#isic2018")
    assert title.is_visible()
    assert "comparisons" in title.inner_text()
    assert not page.locator("#acdc").is_visible()
    assert page.locator("#summary tbody tr", has_text="ISIC 2018").count() == 2


def test_how_sure_is_an_interval_and_the_reasons_for_no_more(opened):
    page = opened()
    assert "mean gain" in page.locator(".reply").first.inner_text()
    assert "[" in page.locator(".reply").first.inner_text()
    cannot = page.locator("details.cannot")
    if not cannot.evaluate("element => element.open"):
        cannot.locator("summary").click()
    assert cannot.locator("li").first.is_visible()
    claim = page.locator("details.claim").first
    assert not claim.locator("ul").is_visible()
    claim.locator("summary").click()
    assert "better" in claim.locator("ul").inner_text()


def test_at_what_cost_stands_with_the_dataset(opened):
    page = opened()
    page.get_by_role("link", name="ACDC").first.click()
    assert page.locator("#pareto-acdc").is_visible()
    assert page.locator("#acdc_cost").is_visible()
    assert (
        "Multiply-adds, times plain: SALSTM" in page.locator("section.dataset").first.inner_text()
    )


def test_which_case_is_worst_is_named_and_shown(opened):
    page = opened()
    assert page.get_by_role("heading", name="Worst case:").first.is_visible()
    page.locator("#acdc_strict a.number").first.click()
    shown = page.locator(".panels li", has_text="worst").first
    assert shown.is_visible()
    assert "Dice" in shown.inner_text()


def test_how_to_run_a_cell_again_is_two_clicks_away(opened):
    page = opened()
    page.get_by_role("link", name="Provenance").first.click()
    assert page.locator("#provenance").is_visible()
    page.locator("#runs details summary").first.click()
    assert page.locator("#runs pre").first.is_visible()
    assert "salstm train" in page.locator("#runs pre").first.inner_text()


def test_without_a_script_every_dataset_and_protocol_is_there(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(site.as_uri())
    for key in ("acdc", "isic2018", "acdc_strict", "acdc_paper"):
        assert page.locator(f"#{key}").is_visible()
    context.close()


def test_on_a_phone_means_are_seen_without_scrolling(opened):
    page = opened(width="phone")
    cells = page.locator("#acdc_strict tbody tr").first.locator("td:not(.aside)")
    assert cells.count() == 6
    for cell in cells.all():
        box = cell.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= WIDTHS["phone"][0]


def test_on_paper_everything_is_open_and_both_protocols_are_there(opened):
    page = opened()
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    for key in ("acdc_strict", "acdc_paper", "isic2018_strict", "acdc_ranks", "acdc_gains_dice"):
        assert page.locator(f"#{key}").is_visible()
    assert page.locator("details:not([open]):not(td details)").count() == 0
    # Chromium leaves the boxes of buttons out of the headings that it repeats on the next page.
    boxes = "elements => [...new Set(elements.map(one => getComputedStyle(one).display))]"
    assert page.locator("thead button").evaluate_all(boxes) == ["contents"]
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details.claim[open]").count() == 0
