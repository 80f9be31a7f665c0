"""The networks. `FIELDS` names them all; other packages join through the entry-point group `recon.fields`."""

import warnings
from importlib.metadata import entry_points

from recon.fields.asmr import AsmrConfig
from recon.fields.bacon import BaconConfig
from recon.fields.base import Field, FieldConfig, Mixture, MultiScale, chunked
from recon.fields.coordinate_embedding import CoordinateEmbeddingConfig
from recon.fields.feature_grid import FeatureGridConfig
from recon.fields.ffn import FfnConfig
from recon.fields.finer import FinerConfig
from recon.fields.gauss import GaussConfig
from recon.fields.hash_grid import HashGridConfig
from recon.fields.kilonerf import KiloNerfConfig
from recon.fields.loe import LoeConfig
from recon.fields.mfn import MfnConfig
from recon.fields.neural_experts import NeuralExpertsConfig
from recon.fields.pe_mlp import PeMlpConfig
from recon.fields.siren import SirenConfig
from recon.fields.vanilla_moe import VanillaMoeConfig
from recon.fields.voxel import VoxelConfig
from recon.fields.wire import WireConfig

FIELDS: dict[str, FieldConfig] = {
    "pe-mlp": PeMlpConfig(),
    "ffn": FfnConfig(),
    "siren": SirenConfig(),
    "finer": FinerConfig(),
    "gauss": GaussConfig(),
    "wire": WireConfig(),
    "mfn": MfnConfig(),
    "bacon": BaconConfig(),
    "hash-grid": HashGridConfig(),
    "feature-grid": FeatureGridConfig(),
    "voxel": VoxelConfig(),
    "kilonerf": KiloNerfConfig(),
    "coordinate-embedding": CoordinateEmbeddingConfig(),
    "loe": LoeConfig(),
    "asmr": AsmrConfig(),
    "neural-experts": NeuralExpertsConfig(),
    "vanilla-moe": VanillaMoeConfig(),
}


def join_fields(fields: dict[str, FieldConfig]) -> None:
    """Adds the fields of other installed packages; warns of those that can't be had, for they are no reason to stop."""
    for entry in entry_points(group="recon.fields"):
        whose = f"the field '{entry.name}' of {entry.dist.name if entry.dist else entry.value}"
        if entry.name in fields:
            warnings.warn(f"{whose} is left out: there is one of that name already", stacklevel=1)
            continue
        try:
            config = entry.load()()
        except Exception as error:  # whatever another package's code may raise
            warnings.warn(f"{whose} is left out, for it does not load: {error}", stacklevel=1)
            continue
        if isinstance(config, FieldConfig):
            fields[entry.name] = config
        else:
            warnings.warn(f"{whose} is left out: it is no FieldConfig but {type(config).__name__}", stacklevel=1)


join_fields(FIELDS)

__all__ = ["FIELDS", "Field", "FieldConfig", "Mixture", "MultiScale", "chunked"]
