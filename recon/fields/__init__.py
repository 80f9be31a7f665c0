"""The networks. `FIELDS` names them all; other packages join through the entry-point group `recon.fields`."""

from importlib.metadata import entry_points

from recon.fields.asmr import AsmrConfig
from recon.fields.base import Field, FieldConfig, Mixture, chunked
from recon.fields.feature_grid import FeatureGridConfig
from recon.fields.hash_grid import HashGridConfig
from recon.fields.loe import LoeConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.siren import SirenConfig
from recon.fields.voxel import VoxelConfig

FIELDS: dict[str, FieldConfig] = {
    "siren": SirenConfig(),
    "pe-mlp": PeMlpConfig(),
    "loe": LoeConfig(),
    "asmr": AsmrConfig(),
    "hash-grid": HashGridConfig(),
    "feature-grid": FeatureGridConfig(),
    "voxel": VoxelConfig(),
    "neural-experts": NeuralExpertsConfig(),
}

for _entry in entry_points(group="recon.fields"):
    FIELDS.setdefault(_entry.name, _entry.load()())

__all__ = ["FIELDS", "Field", "FieldConfig", "Mixture", "chunked"]
