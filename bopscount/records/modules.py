"""Modules of a model as a flat tree: paths, parents, heights, leaves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Node:
    """Module under its first path.

    Attributes:
        path: Dotted module path, "" for the model.
        class_name: Name of the module's class.
        parent: Index of the parent node, -1 for the model.
        height: 1 for a leaf, else 1 + the height of the tallest child.
        is_leaf: Whether the module is a row of its own.
        calls: Number of forward calls.
    """

    path: str
    class_name: str
    parent: int
    height: int
    is_leaf: bool
    calls: int = 0


def shown_nodes(nodes: list[Node], granularity: int) -> list[int]:
    """Return, for each node, the index of the node whose row contains it, or -1.

    Granularity g shows the topmost nodes of height g or less: the nodes of height g, and
    every lower node with a sibling of height g or more.
    """
    shown = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        above = shown[node.parent] if node.parent >= 0 else -1
        if above >= 0:
            shown[index] = above
        elif node.height <= granularity:
            shown[index] = index
    return shown
