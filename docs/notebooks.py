"""The tutorials as notebooks: the pages are the source, their code and commands become cells.

python docs/notebooks.py [FOLDER]    write them without outputs; by default to docs/_build/notebooks
"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

TUTORIALS = Path(__file__).parent / "tutorials"
BLOCK = re.compile(r"^```(python|sh|console|yaml)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def notebook(page: Path) -> nbformat.NotebookNode:
    """A page as a notebook: text between the cells, without links and images of the site."""
    cells, text, end = [], page.read_text(encoding="utf-8"), 0
    for block in BLOCK.finditer(text):
        before, code = text[end : block.start()], cell(block[1], block[2], text[: block.start()])
        if code is None:
            continue
        cells += [new_markdown_cell(plain(before)), new_code_cell(code)]
        end = block.end()
    cells.append(new_markdown_cell(plain(text[end:])))
    for number, each in enumerate(cells):  # the same file for the same page
        each["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def cell(kind: str, code: str, before: str) -> str | None:
    """The source of a cell; None for what only a reader can do, such as opening the explorer."""
    if kind == "python":
        return code.rstrip()
    if kind == "yaml":
        saved = re.findall(r"Save this as `([\w.]+)`", before)
        return f"%%writefile {saved[-1]}\n{code.rstrip()}" if saved else None
    lines = code.splitlines()
    if kind == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    lines = [line for line in lines if not line.startswith("isavae explore")]
    return "%%sh\n" + "\n".join(lines) if lines else None


def plain(text: str) -> str:
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", text)
    return re.sub(r"\[([^\]]*)\]\((?!https:)[^)]*\)", r"\1", text).strip()


def write_all(folder: Path) -> list[Path]:
    """Write every tutorial as FOLDER/NAME.ipynb."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for page in sorted(TUTORIALS.glob("*.md")):
        files.append(folder / f"{page.stem}.ipynb")
        nbformat.write(notebook(page), files[-1])
    return files


if __name__ == "__main__":
    default = Path(__file__).parent / "_build" / "notebooks"
    print(*write_all(Path(sys.argv[1]) if sys.argv[1:] else default), sep="\n")
