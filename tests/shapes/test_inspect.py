"""The doctor finds what was broken on purpose; the repair mends it and says so."""

import os
from pathlib import Path

import numpy as np
import pytest
import trimesh

from recon.geometry import Mesh
from recon.shapes.inspect import inspect
from recon.shapes.load import read_mesh
from recon.shapes.repair import repair
from recon.shapes.topology import boundary_loops, edges_of, odd_ones_out

SPHERE = trimesh.creation.icosphere(subdivisions=3)
RING = trimesh.creation.torus(1.0, 0.3, major_sections=24, minor_sections=12)
DATA = Path(os.environ.get("RECON_DATA", str(Path(__file__).parents[2] / "../shared/data")).split(os.pathsep)[0])


def mesh_of(source: trimesh.Trimesh, keep: np.ndarray | slice = slice(None)) -> Mesh:
    return Mesh(np.asarray(source.vertices, np.float64), np.asarray(source.faces, np.int64)[keep])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def turned(mesh: Mesh, rows: object) -> Mesh:
    faces = mesh.faces.copy()
    faces[rows] = faces[rows][:, ::-1]
    return Mesh(mesh.vertices, faces)


def both(a: Mesh, b: Mesh) -> Mesh:
    return Mesh(np.concatenate([a.vertices, b.vertices]), np.concatenate([a.faces, b.faces + len(a.vertices)]))


@pytest.mark.parametrize(("source", "euler"), [(SPHERE, 2), (RING, 0)])
def test_a_sound_mesh_has_nothing_to_report(source, euler):
    report = inspect(mesh_of(source), rng(), samples=2000)
    assert report.watertight and report.euler == euler and report.components == 1
    assert report.volume == pytest.approx(source.volume) and report.area == pytest.approx(source.area)
    assert (report.holes, report.flipped_faces, report.duplicate_faces, report.degenerate_faces) == (0, 0, 0, 0)
    assert report.sign_uncertain == report.winding_parity_disagreement == report.overlapping == 0
    assert report.warnings() == []
    assert report.self_intersecting is None
    assert report.as_dict()["faces"] == len(source.faces) and "watertight yes" in " ".join(report.lines())


def test_two_holes_are_counted_and_make_the_sign_unsure():
    height = mesh_of(SPHERE).triangles.mean(axis=1)[:, 2]
    report = inspect(mesh_of(SPHERE, np.abs(height) < 0.8), rng(), samples=2000)
    assert report.holes == 2 and not report.watertight and report.boundary_edges > 0
    assert report.sign_uncertain > 0.01
    assert any("--repair" in line and "sure at" in line for line in report.warnings())


def test_flipped_duplicate_and_collapsed_faces_are_counted():
    mesh = turned(mesh_of(SPHERE), [3, 200])
    extra = np.array([mesh.faces[7], mesh.faces[7, ::-1], [5, 5, 9]])
    report = inspect(Mesh(mesh.vertices, np.concatenate([mesh.faces, extra])), rng(), samples=500)
    assert (report.flipped_faces, report.duplicate_faces, report.degenerate_faces) == (2, 2, 1)
    assert report.non_manifold_edges >= 3


def test_overlapping_solids_and_inside_out_ones_are_told():
    shifted = mesh_of(SPHERE.copy().apply_translation([0.5, 0, 0]))
    overlapping = inspect(both(mesh_of(SPHERE), shifted), rng(), samples=1000)
    assert overlapping.components == 2 and overlapping.self_intersecting and overlapping.overlapping > 0.1
    inverted = inspect(turned(mesh_of(SPHERE), slice(None)), rng(), samples=1000)
    assert inverted.inverted > 0.1 and inverted.volume < 0
    assert any("inside out" in line for line in inverted.warnings())


def test_a_one_sided_strip_has_no_odd_faces_and_is_not_turned_for_ever():
    n = 12
    upper, lower = np.arange(n), np.arange(n) + n
    after_u, after_l = np.append(upper[1:], lower[0]), np.append(lower[1:], upper[0])  # the Moebius twist
    faces = np.concatenate([np.stack([upper, lower, after_u], 1), np.stack([after_u, lower, after_l], 1)])
    assert not odd_ones_out(faces).any()


def test_loops_that_meet_at_a_vertex_are_walked_apart():
    grid = np.array([[0, 1, 2], [0, 3, 4]])  # two triangles that share one vertex: a bow tie
    loops = boundary_loops(edges_of(grid))
    assert sorted(map(len, loops)) == [3, 3]


def test_repair_closes_turns_and_cleans_and_says_so():
    mesh = turned(mesh_of(SPHERE, mesh_of(SPHERE).triangles.mean(axis=1)[:, 2] < 0.9), [1, 2, 50])
    mesh = Mesh(mesh.vertices, np.concatenate([mesh.faces, mesh.faces[:5], [[4, 4, 8]]]))
    done = repair(mesh, rng())
    assert done.after.watertight and done.after.euler == 2 and done.after.flipped_faces == 0
    assert done.after.volume == pytest.approx(SPHERE.volume, rel=0.02)
    text = "\n".join(done.lines())
    for word in ("1 collapsed", "5 duplicate", "turned 3 faces", "filled 1 holes", "volume", "area"):
        assert word in text, text


def test_repair_changes_nothing_that_is_sound():
    done = repair(mesh_of(RING), rng())
    assert done.notes == ["nothing to repair"]
    np.testing.assert_array_equal(done.mesh.faces, RING.faces)


def test_repair_turns_everything_outwards_and_keeps_cavities():
    cavity = turned(Mesh(mesh_of(SPHERE).vertices * 0.5, mesh_of(SPHERE).faces), slice(None))
    hollow = both(mesh_of(SPHERE), cavity)
    whole = 7 / 8 * SPHERE.volume
    assert repair(hollow, rng()).after.volume == pytest.approx(whole)
    assert repair(turned(hollow, slice(None)), rng()).after.volume == pytest.approx(whole)
    beside = turned(mesh_of(SPHERE.copy().apply_scale(0.5).apply_translation([3, 0, 0])), slice(None))
    assert repair(both(mesh_of(SPHERE), beside), rng()).after.volume == pytest.approx(9 / 8 * SPHERE.volume)


def test_repair_keeps_an_open_shell_facing_outwards():
    shell = mesh_of(SPHERE, mesh_of(SPHERE).triangles.mean(axis=1)[:, 2] < 0)  # its cap is small enough to be filled
    assert repair(shell, rng()).after.volume == pytest.approx(SPHERE.volume / 2, rel=0.05)


def test_repair_does_not_double_lone_sheets():
    # A box in six separate sheets: caps would hide it, while its winding number tells inside from outside as it is.
    box = trimesh.creation.box()
    sheets = Mesh(np.asarray(box.triangles, np.float64).reshape(-1, 3), np.arange(36).reshape(-1, 3))
    done = repair(sheets, rng())
    assert len(done.mesh.faces) == 12 and "open" in "\n".join(done.notes)
    assert done.after.sign_uncertain < 0.01


def test_repair_of_a_fold_takes_both_of_its_faces():
    mesh = mesh_of(SPHERE)
    fold = np.array([[0, 1, 2], [0, 2, 1]])
    done = repair(Mesh(mesh.vertices, np.concatenate([mesh.faces, fold])), rng())
    assert done.after.watertight and len(done.mesh.faces) == len(mesh.faces)


@pytest.mark.skipif(not (DATA / "shapes/raw").is_dir(), reason=f"no raw meshes at {DATA} (set RECON_DATA)")
def test_the_zipper_bunny_loses_its_five_holes():
    done = repair(read_mesh(DATA / "shapes/raw/bunny_zipper.ply"), rng())
    assert done.before.holes == 5 and done.after.watertight and done.after.euler == 2
    assert done.before.volume < done.after.volume < 1.05 * done.before.volume
