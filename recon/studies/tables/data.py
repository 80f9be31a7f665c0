"""Data that several tables are about, and what stands in for those that are not to be had."""

from __future__ import annotations

from recon.studies.tables.model import Datum

KODAK = tuple(Datum(f"kodim{number:02}", f"kodim{number:02}") for number in range(1, 25))
ASTRONAUT = (Datum("astronaut", "astronaut"),)
CAMERAMAN = (Datum("cameraman", "cameraman"),)
PLUTO = (
    Datum("pluto", "pluto"),
    Datum("world", "nasa_world_topo_5400x2700", "Pluto of 8192 x 8192 pixels", stand_in=True),
)
CAT = Datum("cat", "cat"), Datum("bikes", "bikes", "the cat film of 300 frames of 512 x 512", stand_in=True)
