"""How the faces of a mesh hang together: edges, components, winding, boundary loops. Indices only, no positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


@dataclass(frozen=True)
class Edges:
    """Edges of a mesh: each of the 3f half-edges (corner c of face f is row 3f + c) belongs to one edge."""

    half: Int[np.ndarray, "h 2"]
    """From and to vertex of each half-edge."""
    edge: Int[np.ndarray, " h"]
    """Edge of each half-edge."""
    count: Int[np.ndarray, " e"]
    """Half-edges of each edge: 1 at a boundary, 2 where all is well."""
    balance: Int[np.ndarray, " e"]
    """Half-edges of each edge one way, less those the other way."""

    @property
    def face(self) -> Int[np.ndarray, " h"]:
        """Face of each half-edge."""
        return np.arange(len(self.half)) // 3

    @property
    def boundary(self) -> Int[np.ndarray, "b 2"]:
        """Half-edges that no other face shares."""
        return self.half[self.count[self.edge] == 1]


def edges_of(faces: Int[np.ndarray, "f 3"]) -> Edges:
    """Find the edges of a mesh."""
    half = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    low, high = half.min(axis=1), half.max(axis=1)
    _, edge, count = np.unique(low * (int(faces.max(initial=0)) + 1) + high, return_inverse=True, return_counts=True)
    way = np.where(half[:, 0] < half[:, 1], 1, -1)
    return Edges(half, edge, count, np.bincount(edge, weights=way, minlength=len(count)).astype(np.int64))


def neighbours(edges: Edges) -> Int[np.ndarray, "n 2"]:
    """Pairs of faces that share an edge; around an edge of many faces, each with the next."""
    order = np.argsort(edges.edge, kind="stable")
    same = edges.edge[order[1:]] == edges.edge[order[:-1]]
    return np.stack([edges.face[order[:-1][same]], edges.face[order[1:][same]]], axis=1)


def components(pairs: Int[np.ndarray, "n 2"], faces: int) -> Int[np.ndarray, " f"]:
    """Component of each face, given which faces touch."""
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(faces, faces))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def odd_ones_out(faces: Int[np.ndarray, "f 3"]) -> Bool[np.ndarray, " f"]:
    """Faces wound against most of their component, judged across edges of exactly two faces."""
    edges = edges_of(faces)
    order = np.argsort(edges.edge, kind="stable")
    order = order[edges.count[edges.edge[order]] == 2]
    a, b = edges.face[order[0::2]], edges.face[order[1::2]]
    agree = edges.half[order[0::2], 0] == edges.half[order[1::2], 1]
    # The double cover: each face twice, as it is and reversed; neighbours that disagree join crosswise.
    n = len(faces)
    left, right = np.concatenate([a, a + n]), np.concatenate([np.where(agree, b, b + n), np.where(agree, b + n, b)])
    label = components(np.stack([left, right], axis=1), 2 * n)
    side = label[:n] < label[n:]  # equal where the component is one-sided (a Moebius strip): nothing to mend there
    component = np.minimum(label[:n], label[n:])
    votes = np.bincount(component, weights=np.where(side, 1, -1), minlength=2 * n)
    return np.where(votes[component] >= 0, ~side, side) & (label[:n] != label[n:])


def boundary_loops(edges: Edges) -> list[Int[np.ndarray, " k"]]:
    """Holes as vertex loops, walked along the faces' own half-edges; boundary chains that do not close are left out."""
    following: dict[int, list[int]] = {}
    for start, end in edges.boundary.tolist():
        following.setdefault(start, []).append(end)
    loops = []
    for start in list(following):
        while following.get(start):
            loops += _walk(start, following)
    return loops


def _walk(start: int, following: dict[int, list[int]]) -> list[Int[np.ndarray, " k"]]:
    """Follow half-edges from `start` until they end, cutting off a loop whenever a vertex returns."""
    loops, path, position = [], [start], {start: 0}
    while following.get(path[-1]):
        vertex = following[path[-1]].pop()
        if vertex in position:
            cut = position[vertex]
            loops.append(np.array(path[cut:], np.int64))
            for passed in path[cut + 1 :]:
                del position[passed]
            path = path[: cut + 1]
        else:
            position[vertex] = len(path)
            path.append(vertex)
    return loops
