"""The folders are a map: few of them, few ways between them, and none leads in a circle.

A folder is one node with the modules that stand flat in it: those of `harness` are the contracts
and small helpers that all others may use. Imports that only a type checker sees do not count.
"""

from graphlib import TopologicalSorter

import grimp

OURS = ("harness", "backends", "gist", "benchmarks")
PARTS = ("html", "plots", "formats")  # folders that count as a part of the one around them
MAX_NODES, MAX_EDGES, MAX_LEVELS = 20, 60, 6


def folder_of(module: str, packages: set[str]) -> str:
    """Return the folder in which a module stands."""
    folder = module if module in packages else module.rpartition(".")[0]
    return folder.rpartition(".")[0] if folder.rpartition(".")[2] in PARTS else folder


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Nor do those of one folder, at the top or inside functions."""
    graph = grimp.build_graph(*OURS, exclude_type_checking_imports=True, cache_dir=None)
    imported = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(list(TopologicalSorter(imported).static_order())) == len(graph.modules)


def test_the_folders_make_a_small_graph_without_circles() -> None:
    """A stranger can hold it in mind."""
    graph = grimp.build_graph(*OURS, exclude_type_checking_imports=True, cache_dir=None)
    packages = {module for module in graph.modules if graph.find_children(module)}
    imported: dict[str, set[str]] = {}
    for module in graph.modules:
        node = folder_of(module, packages)
        for other in graph.find_modules_directly_imported_by(module):
            target = folder_of(other, packages)
            imported.setdefault(target, set())
            if target != node:
                imported.setdefault(node, set()).add(target)
    levels: dict[str, int] = {}
    for node in TopologicalSorter(imported).static_order():  # CycleError names a circle
        levels[node] = 1 + max((levels[other] for other in imported[node]), default=0)
    measured = len(imported), sum(map(len, imported.values())), max(levels.values())
    drawn = "\n".join(f"{levels[n]} {n} -> {' '.join(sorted(imported[n]))}" for n in levels)
    nodes, edges, depth = measured
    assert nodes <= MAX_NODES, f"{measured}\n{drawn}"
    assert edges <= MAX_EDGES, f"{measured}\n{drawn}"
    assert depth <= MAX_LEVELS, f"{measured}\n{drawn}"
