"""Losses in parts: values and gradients of the whole batch, and no part's activations left when the next begins."""

import weakref

import pytest
import torch

from recon.training.parts import losses_in_parts


def net_and_losses(seen=None):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    x = torch.randn(23, 2, dtype=torch.float64)

    def losses(index):
        hidden = net[:2](x[index])
        if seen is not None:
            assert not [one for one in seen if one() is not None]
            seen.append(weakref.ref(hidden))
        y = net[2](hidden)
        return {"square": y.square().mean(), "size": 0.1 * y.abs().mean()}

    return net, losses


def step(net, named, scale=1.0):
    net.zero_grad()
    (scale * torch.stack(list(named.values())).sum()).backward()
    return {name: value.item() for name, value in named.items()}, [p.grad for p in net.parameters()]


@pytest.mark.parametrize("size", [1, 5, 23, 100])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_parts_have_the_losses_and_the_gradients_of_the_whole(size, scale):
    net, losses = net_and_losses()
    index = torch.arange(23)
    expected, gradients = step(net, losses(index), scale)
    expected_gradients = [gradient.clone() for gradient in gradients]
    found, gradients = step(net, losses_in_parts(losses, index.split(size), net.parameters()), scale)
    assert found == pytest.approx(expected)
    torch.testing.assert_close(gradients, expected_gradients)


def test_what_does_not_train_or_is_not_used_has_no_gradient():
    net, losses = net_and_losses()
    unused = torch.nn.Parameter(torch.ones(3))
    net[0].weight.requires_grad_(False)
    named = losses_in_parts(losses, torch.arange(23).split(4), [*net.parameters(), unused])
    torch.stack(list(named.values())).sum().backward()
    assert net[0].weight.grad is None and unused.grad is None and net[0].bias.grad is not None


def test_complex_numbers_have_their_gradients():
    weight = torch.nn.Parameter(torch.randn(4, dtype=torch.complex64))

    def losses(index):
        return {"loss": (weight * index[:, None]).abs().square().mean()}

    index = torch.arange(1, 8)
    (expected,) = torch.autograd.grad(losses(index)["loss"], weight)
    losses_in_parts(losses, index.split(3), [weight])["loss"].backward()
    torch.testing.assert_close(weight.grad, expected)


def test_nothing_of_a_part_is_left_when_the_next_begins():
    seen = []
    net, losses = net_and_losses(seen)
    named = losses_in_parts(losses, torch.arange(23).split(4), net.parameters())
    assert len(seen) == 6 and all(one() is None for one in seen)
    step(net, named)
