"""The shape in a run folder is the shape that was learned, bit for bit; anything else is refused."""

import json
import os

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from recon.geometry import Mesh
from recon.shapes.load import PointCloud
from recon.shapes.shape import from_mesh, from_points
from recon.tasks.shape.reference import LIMIT, NAME, read_reference, write_reference


def a_mesh():
    mesh = trimesh.creation.torus(3.0, 1.0, major_sections=8, minor_sections=6)
    return from_mesh(
        "ring", Mesh(np.asarray(mesh.vertices) + 7, np.asarray(mesh.faces).astype(np.int64)), "/data/r.ply"
    )


def a_cloud():
    points = np.random.default_rng(0).normal(size=(50, 3))
    return from_points("dust", PointCloud(points, points / np.linalg.norm(points, axis=1, keepdims=True)))


@pytest.mark.parametrize("make", [a_mesh, a_cloud])
def test_a_shape_comes_back_bit_for_bit(tmp_path, make):
    shape = make()
    write_reference(tmp_path, shape)
    found = read_reference(tmp_path)
    assert found.content_hash() == shape.content_hash()
    assert (found.name, found.source, found.transform, found.report) == (
        shape.name,
        shape.source,
        shape.transform,
        shape.report,
    )


def test_a_missing_reference_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=NAME):
        read_reference(tmp_path)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 3000), place=st.integers(0, 3000), byte=st.integers(0, 255))
def test_a_damaged_reference_is_one_clear_error_or_still_a_shape(tmp_path_factory, cut, place, byte):
    folder = tmp_path_factory.mktemp("reference")
    write_reference(folder, a_cloud())
    data = bytearray((folder / NAME).read_bytes())
    data[place % len(data)] = byte
    (folder / NAME).write_bytes(bytes(data[: len(data) - cut] if cut < len(data) else b""))
    try:
        read_reference(folder)
    except ValueError as error:
        assert NAME in str(error)


@pytest.mark.parametrize(
    "change", [{"centre": [0, 0]}, {"scale": "big"}, {"scale": 0}, {"report": {"vertices": 1}}, {"scale": None}]
)
def test_facts_that_make_no_sense_are_refused(tmp_path, change):
    write_reference(tmp_path, a_mesh())
    arrays = load_file(tmp_path / NAME)
    about = {"name": "x", "source": "y", "centre": [0, 0, 0], "scale": 1.0, "report": None, **change}
    save_file(arrays, tmp_path / NAME, {"shape": json.dumps(about)})
    with pytest.raises(ValueError, match="damaged"):
        read_reference(tmp_path)


@pytest.mark.parametrize("harm", ["faces", "vertices", "nan"])
def test_geometry_that_makes_no_sense_is_refused(tmp_path, harm):
    shape = a_mesh()
    write_reference(tmp_path, shape)
    arrays = load_file(tmp_path / NAME)
    if harm == "faces":
        arrays["faces"] = arrays["faces"] + 1000
    elif harm == "vertices":
        arrays["vertices"] = arrays["vertices"][:, :2].copy()
    else:
        arrays["vertices"][0] = np.nan
    about = {"name": "x", "source": "y", "centre": [0, 0, 0], "scale": 1.0, "report": None}
    save_file(arrays, tmp_path / NAME, {"shape": json.dumps(about)})
    with pytest.raises(ValueError, match="damaged"):
        read_reference(tmp_path)


HUGE = f'{{"centre": [{10**400}, 0, 0], "scale": 1}}'


@pytest.mark.parametrize("about", [HUGE, "[" * 100_000, '{"centre": 1}', "[1]"], ids=["huge", "deep", "flat", "list"])
def test_facts_of_any_kind_are_refused_in_one_sentence(tmp_path, about):
    save_file({"points": np.zeros((2, 3))}, tmp_path / NAME, {"shape": about})
    with pytest.raises(ValueError, match=f"{NAME} is damaged"):
        read_reference(tmp_path)


def test_a_reference_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    write_reference(tmp_path, a_cloud())
    os.truncate(tmp_path / NAME, LIMIT + 1)
    with pytest.raises(ValueError, match="more than the .* that are read"):
        read_reference(tmp_path)
