"""What all jobs on a single field share: its parameters by group, its state, its precision over time."""

from __future__ import annotations

from torch import Tensor

from recon import runtime
from recon.fields import Field
from recon.runtime import Runtime
from recon.training.job import Job
from recon.training.optim import ParamGroup


class FieldJob(Job):
    """A field that is trained as it is, in bfloat16 products first where the machine has them."""

    def __init__(self, field: Field, run_on: Runtime, steps: int, full_precision_from: float) -> None:
        self.field, self.run_on = field.to(run_on.device), run_on
        self._full_from = full_precision_from * steps

    def parameter_groups(self) -> list[ParamGroup]:
        """Experts apart from the rest (stages may train them alone); hidden matrices apart from the others."""
        matrices = {id(p) for p in self.field.matrices()}
        groups: dict[str, ParamGroup] = {}
        for name, parameter in self.field.named_parameters():
            part = "experts" if name.startswith("expert_stack.") else "shared"
            kind = "matrix" if id(parameter) in matrices else "other"
            key = f"{part}.{kind}"
            groups.setdefault(key, ParamGroup(key, [], kind)).parameters.append(parameter)
        return list(groups.values())

    def state(self) -> dict[str, Tensor]:
        return self.field.state_dict()

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        self.field.load_state_dict(tensors)

    def _begin(self, step: int) -> None:
        self.field.train()
        rough = self.run_on.precision == "bf16-inside" and step < self._full_from
        runtime.set_products("bf16-inside" if rough else "float32")
