"""Workers that share out grouped products."""

import pytest
import torch

from recon.kernels import grouped
from recon.kernels.grouped import grouped_linear, grouped_linear_reference


def test_workers_have_one_thread_each_and_leave_the_others_theirs():
    before = torch.get_num_threads()
    crew = grouped._crew(3)
    assert {crew.submit(torch.get_num_threads).result() for _ in range(9)} == {1}
    assert torch.get_num_threads() == before


def test_what_goes_wrong_in_a_worker_is_told(monkeypatch):
    products = [
        (torch.empty(2, 2), torch.ones(2, 3), torch.ones(3, 2)),
        (torch.empty(2, 2), torch.ones(2, 3), torch.ones(4, 2)),
    ]
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        grouped._multiply(products, 2)


@pytest.mark.parametrize("sizes", [[300] * 6, [0, 900, 0, 800, 850], [2000, 3, 4]])
def test_shared_out_or_not_the_sums_are_right(sizes, monkeypatch):
    grouped._crew(2)  # it must not begin with the number that is patched in
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    x = torch.randn(sum(sizes), 64, dtype=torch.float64)
    weight, bias = (
        torch.randn(len(sizes), 48, 64, dtype=torch.float64),
        torch.zeros(len(sizes), 48, dtype=torch.float64),
    )
    group = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    torch.testing.assert_close(grouped_linear(x, sizes, weight, bias), grouped_linear_reference(x, group, weight, bias))
