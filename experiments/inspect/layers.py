"""Draw the layers of both packages from their real imports, into docs/architecture.md.

    python -m experiments.inspect.layers            # write the drawing and the table between the markers
    python -m experiments.inspect.layers --check    # exit code 1 if the page does not show today's imports

The drawing is Mermaid text. An arrow that other arrows imply is left out; the table lists every import.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterable
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- layers: begin -->\n", "<!-- layers: end -->\n"
PACKAGES = ("mfn", "retarget")
ENTRY_POINTS = ("mfn.__main__", "retarget.__main__")

Graph = dict[str, set[str]]


def folder_of(module: str) -> str:
    """Return the first two parts of a module's name: "mfn.video.reader" is in "mfn.video"."""
    return ".".join(module.split(".")[:2])


def folder_imports() -> Graph:
    """Return which folder imports which: lazy imports are counted, imports for type checking alone are not.

    `from retarget import write_scene` is an import of "retarget"; this node's own imports are the folders of its public
    names, which its `__init__` states for type checkers.
    """
    modules, typed = (grimp.build_graph(*PACKAGES, exclude_type_checking_imports=x, cache_dir=None) for x in (True, False))
    graph: Graph = {folder_of(module): set() for module in modules.modules if module not in ENTRY_POINTS}
    for module in modules.modules - set(ENTRY_POINTS):
        source = typed if module in PACKAGES else modules
        graph[folder_of(module)] |= {folder_of(name) for name in source.find_modules_directly_imported_by(module)}
    return {name: targets - {name, name.split(".")[0]} for name, targets in graph.items()}


def reachable(graph: Graph, starts: Iterable[str]) -> set[str]:
    """Return all folders that can be reached from `starts`, these included."""
    found, waiting = set(), list(starts)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


def reduced(graph: Graph) -> Graph:
    """Return the graph without the arrows that a longer way implies."""
    return {name: {t for t in targets if t not in reachable(graph, targets - {t})} for name, targets in graph.items()}


def height(graph: Graph, name: str) -> int:
    """Return how many folders a folder builds on, directly or not: a folder is higher than all those it imports."""
    return len(reachable(graph, graph[name]))


def mermaid(graph: Graph) -> str:
    """Return the drawing: a box a folder, arrows point to what is imported."""
    lines = ["```mermaid", "flowchart TD"]
    folders = sorted(graph.keys() - set(PACKAGES), key=lambda name: (-height(graph, name), name))
    for package in PACKAGES:
        lines.append(f'  subgraph {package}["{package}"]')
        lines += [f'    {name.replace(".", "_")}["{name.split(".")[1]}"]' for name in folders if name.startswith(package + ".")]
        lines.append("  end")
    arrows = reduced(graph)
    lines += [f"  {a.replace('.', '_')} --> {b.replace('.', '_')}" for a in folders for b in sorted(arrows[a])]
    return "\n".join([*lines, "```"])


def path_of(name: str) -> Path:
    """Return the folder, or the file of a module that lies beside the folders."""
    folder = ROOT / name.replace(".", "/")
    return folder if folder.is_dir() else folder.with_suffix(".py")


def purpose(name: str) -> str:
    """Return the first sentence of a folder's docstring."""
    path = path_of(name)
    file = path / "__init__.py" if path.is_dir() else path
    text = " ".join((ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[0].split())
    return text.replace("|", r"\|")


def table(graph: Graph) -> str:
    """Return a row for each folder, the highest layer first."""
    lines = ["| folder | what it holds | imports |", "|---|---|---|"]
    for package in PACKAGES:
        names = [name for name in graph if name.startswith(package + ".")]
        for name in sorted(names, key=lambda name: (-height(graph, name), name)):
            imports = ", ".join(f"`{target}`" for target in sorted(graph[name]))
            lines.append(f"| `{path_of(name).relative_to(ROOT)}` | {purpose(name)} | {imports or '–'} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page's text with today's drawing and table between the markers."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{PAGE}: expected the lines {BEGIN.strip()} and {END.strip()} once each")
    graph = folder_imports()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{mermaid(graph)}\n\n{table(graph)}\n\n{END}{after}"


def main() -> int:
    """Write or check the page and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if the page is out of date")
    arguments = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    current = page(text)
    if arguments.check and current != text:
        print(f"{PAGE.name} is out of date: python -m experiments.inspect.layers", file=sys.stderr)
        return 1
    if not arguments.check:
        PAGE.write_text(current, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
