"""`extract`: the surface of an exact distance, adaptive against dense; an occupancy grid by ASMR against SIREN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from recon.fields import chunked
from recon.fields.asmr import Asmr, AsmrConfig
from recon.geometry import DOMAIN, Mesh
from recon.studies.bench.formulations import asmr_shared
from recon.studies.bench.measure import Aim, Meter, Row, Way, agree
from recon.studies.bench.networks import Part, cube, rivals
from recon.studies.bench.sizes import Sizes
from recon.surfaces.extract import Extraction, extract_adaptive, extract_dense


def parts(sizes: Sizes) -> list[Part]:
    """All of the benchmark, piece by piece."""
    return [partial(surface, sizes=sizes), partial(occupancy, sizes=sizes)]


def surface(meter: Meter, *, sizes: Sizes) -> Iterator[Row]:
    """A mesh from evaluations near the surface only, against one from all points of the grid, each made once.

    Where the dense one would take too long it is made on a coarser grid, and its seconds are scaled."""
    found: dict[str, Extraction] = {}

    def make(how: str, n: int) -> None:
        adaptive = how == "adaptive"
        found[how] = extract_adaptive(two_tori, n, 1.0) if adaptive else extract_dense(two_tori, n)

    fine, n = sizes.surface, min(sizes.surface, sizes.surface_coarse)
    coarse = meter.time(lambda: make("dense", n))
    if 3 * coarse * (fine / n) ** 3 < meter.left:  # its memory is found in a run of its own
        n = fine
    within = Meter(meter.device, meter.left / 10)
    adaptive = within.compare("", {"adaptive": Way(lambda: make("adaptive", fine))})["adaptive"]
    evaluations = found["adaptive"].evaluations
    if n != fine:
        make("adaptive", n)
    dense = Meter(meter.device, 0.0).compare("", {"dense": Way(lambda: make("dense", n))})["dense"]
    factor = (fine / n) ** 3
    assert adaptive.seconds is not None and dense.seconds is not None
    title = f"distance of two tori, {fine}^3"
    same = f"at {n}^3: {apart(found['adaptive'].mesh, found['dense'].mesh)}"
    seconds = dense.seconds * factor
    yield replace(
        adaptive,
        name=f"{title}: adaptive",
        plain="dense",
        ratio_plain=adaptive.seconds / seconds,
        points_per_second=fine**3 / adaptive.seconds,
        batch=evaluations,
        note=same,
    ).judged(Aim("times fewer evaluations than dense", least=40.0), fine**3 / evaluations)
    yield replace(
        dense,
        name=f"{title}: dense",
        plain="dense",
        seconds=seconds,
        ratio_plain=1.0,
        points_per_second=fine**3 / seconds,
        batch=fine**3,
        note="" if n == fine else f"seconds scaled from {n}^3, memory as found there",
    )


def two_tori(p: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
    """Exact signed distance to two tori that do not touch; slope 1 everywhere. Their area is 5.3, as a shape's."""

    def torus(p: Tensor, ring: float, tube: float) -> Tensor:
        return torch.stack([p[:, :2].norm(dim=1) - ring, p[:, 2]], dim=1).norm(dim=1) - tube

    return torch.minimum(torus(p, 0.85, 0.08), torus(p[:, [2, 0, 1]], 0.35, 0.19))


def apart(a: Mesh, b: Mesh) -> str:
    """How far the vertices of two meshes are from one another at most, over the box; and whether their counts agree."""
    far = max(KDTree(p.vertices).query(q.vertices)[0].max() for p, q in ((a, b), (b, a))) / (2 * DOMAIN)
    same = len(a.vertices) == len(b.vertices) and len(a.faces) == len(b.faces)
    counts = f"{len(a.faces):,} faces each" if same else f"{len(a.faces):,} and {len(b.faces):,} faces"
    if far > 1e-6 or not same:
        raise RuntimeError(f"adaptive and dense extraction disagree: vertices {far:.1e} of the box apart, {counts}")
    return f"vertices at most {far:.0e} of the box apart, {counts}"


@torch.no_grad()
def occupancy(meter: Meter, *, sizes: Sizes) -> Iterator[Row]:
    """A whole grid of halved cells, against SIREN and the MLP of the same size; on a smaller grid where time is short:
    cost per cell hardly depends on the number of levels, for the last ones do nearly all the work."""
    least, most, width = sizes.occupancy_least, sizes.occupancy_levels, sizes.occupancy_width
    wanted, levels = halved(width, most, meter.device), least
    field = halved(width, least, meter.device)
    agree("ASMR's shared ways", field.on_grid(field.cells), field.to_raster(asmr_shared(field)), 1e-2)
    once = meter.time(lambda: field.on_grid(field.cells))
    while levels < most and 3 * once * 8 ** (levels + 1 - least) < meter.left:
        levels += 1
    field = halved(width, levels, meter.device)
    cells, part = wanted.prefixes(most), field.prefixes(levels)
    x = cube(min(sizes.part, part), meter.device)
    siren, mlp = rivals(width, most, 3, meter.device)
    factor = cells / part * wanted.shared_macs() / field.shared_macs()
    note = "" if levels == most else f"seconds scaled from {2**levels}^3 cells, memory as found there"
    far = f"scaled from {len(x):,} points"
    ways = {
        "asmr": Way(lambda: field.on_grid(field.cells), cells, factor, wanted.shared_macs(), note),
        "siren": Way(lambda: chunked(siren, x), cells, cells / len(x), siren.macs(), far),
        "mlp": Way(lambda: chunked(mlp, x), cells, cells / len(x), mlp.macs(), far),
    }
    rows = meter.compare(f"occupancy grid {2**most}^3, {most} levels", ways, plain="siren", mlp="mlp", width=width)
    aim = Aim("times the products of ASMR", least=30.0)
    rows["siren"] = rows["siren"].judged(aim, siren.macs() / wanted.shared_macs())
    yield from rows.values()


def halved(width: int, levels: int, device: torch.device) -> Asmr:
    torch.manual_seed(0)
    return AsmrConfig(width=width, bases=(2,) * levels).build(3, 1).to(device)
