"""Pictures of a report for docs/read-a-report.md: ``python docs/take_pictures.py reports/example/index.html``.

Needs chromium and the test dependencies (playwright). The pictures go to docs/pictures, each below 60 kB.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

LARGEST = 60_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECTIONS = {
    "verdict": "header",
    "tables": "section.dataset:not([hidden]) h2",
    "gains": "section.dataset:not([hidden]) .figures",
    "claims": "#claims",
    "provenance": "#provenance",
}
"""Name of the picture -> where it starts."""
FRAME = {"width": 1280, "height": 720}


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport=FRAME, color_scheme="light")  # type: ignore[arg-type]
        page.goto(args.page.resolve().as_uri())
        page.add_style_tag(content="nav { position: static !important } html { scroll-padding: 0 }")
        page.evaluate("for (const one of document.querySelectorAll('.claim')) one.open = true")
        for name, place in SECTIONS.items():
            top = page.locator(place).first.evaluate(
                "element => element.getBoundingClientRect().top + scrollY"
            )
            page.evaluate("top => scrollTo(0, top)", top)
            page.wait_for_timeout(300)  # pictures are decoded when they come into sight
            (args.out / f"{name}.png").write_bytes(small(page.screenshot()))
        browser.close()


def small(png: bytes) -> bytes:
    """A picture in so few colours, and if need be so many pixels, that it stays below the limit."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (128, 64, 32, 16):
        buffer = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
        if buffer.tell() < LARGEST:
            return buffer.getvalue()
    width, height = picture.size
    return small(_encoded(picture.resize((width * 3 // 4, height * 3 // 4))))


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
