"""The papers' tables, run again: their networks and protocols by name, their numbers beside ours."""

from recon.studies.tables import asmr, levels_of_experts, neural_experts
from recon.studies.tables.model import Table

TABLES: dict[str, Table] = {**neural_experts.TABLES, **levels_of_experts.TABLES, **asmr.TABLES}
"""Every table, by the name of its paper's method and its number there."""
