"""A job of a few hundred weights and a bit of everything: matrices, biases, experts, a sparse table, a buffer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from recon.training.job import Job
from recon.training.optim import ParamGroup


class TinyJob(Job):
    """Fits a table, an MLP and two experts to random targets that a generator draws."""

    points_per_step = 16

    def __init__(self, seed: int = 0, spoil: Callable[[int, Tensor], Tensor] | None = None) -> None:
        self.rng = torch.Generator().manual_seed(seed)
        self.table = nn.Embedding(12, 6, sparse=True)
        self.first, self.hidden, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 1)
        self.experts = nn.Parameter(torch.empty(2, 8, 8))
        for parameter in (*self._modules().parameters(), self.experts):
            nn.init.normal_(parameter, std=0.3, generator=self.rng)
        self.seen = torch.zeros(12)  # plays the occupancy grid: state that is neither weight nor random
        self.spoil = spoil
        self.scores: list[float] = []

    def _modules(self) -> nn.ModuleList:
        return nn.ModuleList([self.table, self.first, self.hidden, self.last])

    def parameter_groups(self) -> list[ParamGroup]:
        other = [*self.first.parameters(), self.hidden.bias, *self.last.parameters()]
        return [
            ParamGroup("table", [self.table.weight], "sparse", rate_scale=3.0),
            ParamGroup("experts.matrix", [self.experts], "matrix"),
            ParamGroup("hidden", [self.hidden.weight], "matrix"),
            ParamGroup("other", other),
        ]

    def loss(self, step: int) -> dict[str, Tensor]:
        rows = torch.randint(0, 12, (self.points_per_step,), generator=self.rng)
        target = torch.randn(self.points_per_step, 1, generator=self.rng)
        self.seen[rows] += 1
        x = torch.tanh(self.hidden(torch.tanh(self.first(self.table(rows)))))
        x = torch.tanh(torch.einsum("ni,kio->nko", x, self.experts).mean(1))
        fit = ((self.last(x) - target - self.seen[rows, None].cos()) ** 2).mean()
        return {"fit": self.spoil(step, fit) if self.spoil else fit, "size": 1e-3 * self.experts.square().mean()}

    def state(self) -> dict[str, Tensor]:
        return {**self._modules().state_dict(), "experts": self.experts, "seen": self.seen}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        self.seen = tensors.pop("seen")
        with torch.no_grad():
            self.experts.copy_(tensors.pop("experts"))
        self._modules().load_state_dict(tensors)

    def random_state(self) -> dict[str, Tensor]:
        return {"batches": self.rng.get_state()}

    def load_random_state(self, tensors: dict[str, Tensor]) -> None:
        self.rng.set_state(tensors["batches"])

    def quick_score(self) -> dict[str, float]:
        torch.rand(3, generator=self.rng)  # a careless job: asking for scores disturbs its random state
        return {"score": self.scores.pop(0)} if self.scores else {}
