"""Print the structure of the package, from its source: one row per subpackage, as Markdown.

Run: `python benchmarks/structure.py [folder of isavae]`. The columns: lines; files; parts, which
are the files and folders at its top; the names in its `__all__`; functions; `inward`,
the imports between its parts; `outward`, the other subpackages that it imports.
"""

import ast
import sys
from pathlib import Path


def imported(tree: ast.Module) -> set[tuple[str, str]]:
    """The (subpackage, part) pairs that a module imports."""
    names = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
    names |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    parts = [[*name.split("."), "", ""] for name in names if name.startswith("isavae.")]
    return {(part[1], part[2]) for part in parts}


def exported(tree: ast.Module) -> int:
    """The length of a module's `__all__`."""
    assigned = (node for node in tree.body if isinstance(node, ast.Assign))
    lists = [n.value for n in assigned if ast.unparse(n.targets[0]) == "__all__"]
    return len(ast.literal_eval(lists[0])) if lists else 0


def measure(package: Path) -> list[int]:
    """The columns of one subpackage, a folder or a file."""
    files = sorted(package.rglob("*.py")) if package.is_dir() else [package]
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
    part_of = {file: file.relative_to(package.parent).with_suffix("").parts[1:2] for file in files}
    arrows = {(part_of[file], arrow) for file, tree in trees.items() for arrow in imported(tree)}
    inward = {
        (own, part) for own, (name, part) in arrows
        if name == package.stem and part and own not in ((part,), ("__init__",))
    }  # fmt: skip
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    return [
        sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files),
        len(files),
        len(set(part_of.values()) - {("__init__",)}),
        exported(trees[package / "__init__.py" if package.is_dir() else package]),
        sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        len(inward),
        len({name for _, (name, _) in arrows} - {package.stem}),
    ]


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else "src/isavae")
    heads = "subpackage", "lines", "files", "parts", "names", "functions", "inward", "outward"
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    folders = [path for path in root.iterdir() if (path / "__init__.py").exists()]
    rows = {path.stem: measure(path) for path in sorted([*folders, *root.glob("[!_]*.py")])}
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{number:,}' for number in row)} |")


if __name__ == "__main__":
    main()
