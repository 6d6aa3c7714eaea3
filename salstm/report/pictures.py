"""Figures inside the page: drawings that follow the page's colours, pictures as data URLs."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from salstm.figures import LIST, style
from salstm.files import read_json
from salstm.vocabulary import VARIANTS

_DROPPED = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<style.*?</style>", re.S
)
BROAD = 540.0
"""Points above which a drawing is broad."""
_TYPES = {".webp": "image/webp", ".png": "image/png"}


def listed(folder: Path) -> list[dict[str, Any]]:
    """The entries of figures.json; none if there is no such file."""
    path = folder / LIST
    return read_json(path)["figures"] if path.is_file() else []


def inline_svg(path: Path, alt: str) -> str:
    """A drawing as markup: no fixed size, ids of its own, and the page's colours instead of the file's.

    Args:
        path: of a file that ``salstm.figures.style.save`` wrote.
        alt: what it shows, for those who cannot see it.

    Raises:
        ValueError: the file is no drawing.
    """
    text = _DROPPED.sub("", path.read_text(encoding="utf-8")).strip()
    text = _own_ids(text, path.stem)
    for shade, name in _colours().items():
        text = text.replace(shade, name)
    box = re.search(r'viewBox="0 0 [\d.]+ [\d.]+"', text)
    if box is None:
        raise ValueError(f"{path}: no viewBox; draw the figures again")
    attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "xmlns:xlink": "http://www.w3.org/1999/xlink",
        "role": "img",
        "aria-label": alt,
        "preserveAspectRatio": "xMinYMid",
    }
    written = " ".join(f"{name}={quoteattr(value)}" for name, value in attributes.items())
    opening = f"<svg {box[0]} {written}>"
    return re.sub(r"<svg.*?>", lambda _: opening, text, count=1, flags=re.S)


def is_broad(svg: str) -> bool:
    """Whether a drawing needs the whole width of the page for its letters to be read."""
    box = re.search(r'viewBox="0 0 ([\d.]+)', svg)
    return box is not None and float(box[1]) > BROAD


def data_url(path: Path) -> str:
    """A picture as a URL that holds it."""
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:{_TYPES[path.suffix]};base64,{content}"


def _own_ids(text: str, prefix: str) -> str:
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)


def _colours() -> dict[str, str]:
    shades = {style.INK: "currentColor", style.FAINT: "var(--faint)", style.GRID: "var(--line)"}
    shades[style.PAPER] = "var(--page)"
    shades |= {one.colour: f"var(--{name})" for name, one in VARIANTS.items()}
    return {**shades, "fill: #ffffff": "fill: none"}
