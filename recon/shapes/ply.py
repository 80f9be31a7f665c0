"""PLY files, text and binary: the header is judged before memory is taken, polygons of any size are made triangles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Int

from recon.shapes.polygons import MAX_HEADER, NO_FACES, BadShape, Stored, check_faces, fan, numbers, parse_count

_PLY_TYPES = {
    **{name: "i1" for name in ("char", "int8")},
    **{name: "u1" for name in ("uchar", "uint8")},
    **{name: "i2" for name in ("short", "int16")},
    **{name: "u2" for name in ("ushort", "uint16")},
    **{name: "i4" for name in ("int", "int32")},
    **{name: "u4" for name in ("uint", "uint32")},
    **{name: "f4" for name in ("float", "float32")},
    **{name: "f8" for name in ("double", "float64")},
}
_PLY_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Property:
    """One PLY property: a number, or (where `size` is given) a list of numbers preceded by their count."""

    name: str
    kind: str
    size: str | None = None


@dataclass(frozen=True)
class Element:
    """One PLY element: `count` rows of the same properties."""

    name: str
    count: int
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class PlyHeader:
    """Byte order ('' for text), elements in file order, and where the data starts."""

    order: str
    elements: tuple[Element, ...]
    length: int

    def count(self, name: str) -> int:
        """Rows of the named element; 0 where there is none."""
        return sum(element.count for element in self.elements if element.name == name)


def ply_header(head: bytes) -> PlyHeader:
    """Read a PLY header from the first bytes of a file."""
    if not head.startswith(b"ply"):
        raise BadShape(f"not a PLY file: it starts with {head[:8]!r}")
    end = head.find(b"end_header")
    if end < 0:
        raise BadShape("the PLY header does not end")
    newline = head.find(b"\n", end)
    length = len(head) if newline < 0 else newline + 1
    order, elements = None, []
    for line in head[:end].decode("latin-1").splitlines()[1:]:
        words = line.split()
        try:
            if words[:1] == ["format"]:
                order = _PLY_ORDERS[words[1]]
            elif words[:1] == ["element"]:
                elements.append(Element(words[1], parse_count(words[2]), ()))
            elif words[:1] == ["property"]:
                last = elements[-1]
                elements[-1] = Element(last.name, last.count, (*last.properties, _property(words)))
        except (KeyError, IndexError, ValueError) as error:
            raise BadShape(f"the PLY header has a bad line: {line.strip()[:80]!r}") from error
    if order is None:
        raise BadShape("the PLY header names no format")
    return PlyHeader(order, tuple(elements), length)


def _property(words: list[str]) -> Property:
    if words[1] == "list":
        if _PLY_TYPES[words[2]].startswith("f"):
            raise ValueError("a list counted by a fraction")
        return Property(words[4], _PLY_TYPES[words[3]], _PLY_TYPES[words[2]])
    return Property(words[2], _PLY_TYPES[words[1]])


def read_ply(data: bytes, max_faces: int) -> Stored:
    """Vertices, normals (nx ny nz) and triangulated faces of a PLY file, text or binary."""
    header = ply_header(data[:MAX_HEADER])
    check_faces(header.count("face"), max_faces)
    if header.order:
        read = partial(_binary_rows, body=memoryview(data)[header.length :], order=header.order)
    else:
        read = partial(_text_rows, body=numbers(data[header.length :].split()))
    offset, columns = 0, {}
    for element in header.elements:
        if element.properties and element.count:
            columns[element.name], offset = read(element, offset=offset)
    vertex, face = columns.get("vertex", {}), columns.get("face", {})
    corners = next((face[name] for name in ("vertex_indices", "vertex_index") if name in face), None)
    if not all(isinstance(vertex.get(axis), np.ndarray) for axis in "xyz"):
        raise BadShape("the PLY file has no vertices with x, y and z")
    normals = [vertex[name] for name in ("nx", "ny", "nz") if isinstance(vertex.get(name), np.ndarray)]
    return Stored(
        np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float64),
        fan(*corners) if isinstance(corners, tuple) else NO_FACES,
        np.stack(normals, axis=1).astype(np.float64) if len(normals) == 3 else None,
    )


def _binary_rows(element: Element, *, body: memoryview, offset: int, order: str) -> tuple[dict, int]:
    """Columns of one element of a binary file, and the offset in bytes behind it."""
    lists = [prop for prop in element.properties if prop.size]
    sizes = {prop.name: _first_list_size(element, prop.name, body, offset, order) for prop in lists}
    fields = []
    for index, prop in enumerate(element.properties):
        if prop.size:
            fields.append((f"{index}#", order + prop.size))
        fields.append((f"{index}", order + prop.kind, (sizes[prop.name],) if prop.size else ()))
    row = np.dtype(fields)
    end = offset + element.count * row.itemsize
    if end <= len(body):
        table = np.frombuffer(body[offset:end], row)
        if all((table[f"{i}#"] == sizes[p.name]).all() for i, p in enumerate(element.properties) if p.size):
            return {p.name: _column(table[f"{i}"], bool(p.size)) for i, p in enumerate(element.properties)}, end
    if not lists:
        raise BadShape(
            f"the file is cut short: {element.count:,} of '{element.name}' need {end - len(body):,} more bytes"
        )
    return _mixed_rows(element, body, offset, order)


def _first_list_size(element: Element, name: str, body: memoryview, offset: int, order: str) -> int:
    """Length of the named list in the first row: nearly always that of every row."""
    for prop in element.properties:
        (value,), offset = _take(body, offset, order + (prop.size or prop.kind), 1)
        if prop.size:
            offset = _take(body, offset, order + prop.kind, int(value))[1]
        if prop.name == name:
            return int(value)
    raise AssertionError(name)


def _take(body: memoryview, offset: int, kind: str, count: int) -> tuple[np.ndarray, int]:
    end = offset + np.dtype(kind).itemsize * count
    if count < 0 or end > len(body):
        raise BadShape("the file is cut short, or a polygon has an impossible number of corners")
    return np.frombuffer(body[offset:end], kind), end


def _column(values: np.ndarray, is_list: bool) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    if not is_list:
        return values
    return np.full(len(values), values.shape[1]), _indices(values.reshape(-1))


def _mixed_rows(element: Element, body: memoryview, offset: int, order: str) -> tuple[dict, int]:
    """Like `_binary_rows` for lists of differing lengths: one row after another."""
    rows: dict[str, list] = {prop.name: [] for prop in element.properties}
    kinds = [(rows[p.name], order + (p.size or p.kind), order + p.kind if p.size else None) for p in element.properties]
    for _ in range(element.count):
        for values, first, rest in kinds:
            value, offset = _take(body, offset, first, 1)
            if rest:
                value, offset = _take(body, offset, rest, int(value[0]))
            values.append(value)
    return {prop.name: _gather(rows[prop.name], bool(prop.size)) for prop in element.properties}, offset


def _gather(rows: list[np.ndarray], is_list: bool) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    flat = np.concatenate(rows)
    return (np.array([len(row) for row in rows]), _indices(flat)) if is_list else flat


def _text_rows(element: Element, *, body: np.ndarray, offset: int) -> tuple[dict, int]:
    """Columns of one element of a text file, and the offset in numbers behind it."""
    if element.count > len(body) - offset:
        raise BadShape(f"the file is cut short: it has not all {element.count:,} of '{element.name}'")
    if not any(prop.size for prop in element.properties):
        width = len(element.properties)
        end = offset + element.count * width
        if end > len(body):
            raise BadShape(f"the file is cut short: it has not all {element.count:,} of '{element.name}'")
        table = body[offset:end].reshape(-1, width)
        return {prop.name: table[:, i] for i, prop in enumerate(element.properties)}, end
    rows: dict[str, list] = {prop.name: [] for prop in element.properties}
    for _ in range(element.count):
        for prop in element.properties:
            size = 1
            if prop.size:
                size = _whole(body[offset] if offset < len(body) else np.nan)
                offset += 1
            if size < 0 or offset + size > len(body):
                raise BadShape("the file is cut short, or a polygon has an impossible number of corners")
            rows[prop.name].append(body[offset : offset + size])
            offset += size
    return {prop.name: _gather(rows[prop.name], bool(prop.size)) for prop in element.properties}, offset


def _whole(value: float) -> int:
    if not (np.isfinite(value) and value == int(value)):
        raise BadShape(f"a count of {value} where a whole number was expected")
    return int(value)


def _indices(values: np.ndarray) -> Int[np.ndarray, " n"]:
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (np.abs(values) < 2**53).all()):
        raise BadShape("a face names a vertex that is no number")
    return values.astype(np.int64)
