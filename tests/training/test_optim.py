"""Optimisers against torch's own, schedules against closed forms, lazy Adam against Adam row by row."""

import math

import pytest
import torch
from torch import nn

from recon.training.lazy_adam import LazyAdam, touched
from recon.training.muon import Muon, orthogonalize
from recon.training.optim import OptimConfig, ParamGroup, build_optimizer, schedule_factor

RNG = torch.Generator().manual_seed(0)


def randn(*shape):
    return torch.randn(*shape, generator=RNG)


def parameter(*shape):
    return nn.Parameter(randn(*shape))


def run(optimizer, parameters, gradients):
    for step in gradients:
        for p, g in zip(parameters, step, strict=True):
            p.grad = None if g is None else g.clone()
        optimizer.step()


# --- schedules ---


def test_exponential_decay_is_a_power():
    config = OptimConfig(schedule="exponential", gamma=0.9999)
    assert schedule_factor(config, 0, 30_000) == 1
    assert schedule_factor(config, 30_000, 30_000) == 0.9999**30_000


def test_cosine_falls_from_one_to_the_final_fraction_through_their_mean():
    config = OptimConfig(schedule="cosine", final_fraction=0.02)
    assert schedule_factor(config, 0, 100) == 1
    assert schedule_factor(config, 50, 100) == pytest.approx(0.51, abs=1e-12)
    assert schedule_factor(config, 100, 100) == pytest.approx(0.02, abs=1e-12)


def test_step_schedule_drops_at_multiples():
    config = OptimConfig(schedule="step", step_every=10, step_factor=0.5)
    assert [schedule_factor(config, s, 30) for s in (0, 9, 10, 19, 20)] == [1, 1, 0.5, 0.5, 0.25]


def test_warm_up_climbs_linearly_and_ends_at_the_schedule():
    config = OptimConfig(warmup=4)
    assert [schedule_factor(config, s, 30) for s in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


@pytest.mark.parametrize("schedule", ["constant", "exponential", "cosine", "step"])
def test_a_rescaled_schedule_is_the_same_curve(schedule):
    config = OptimConfig(schedule=schedule, gamma=0.99, step_every=50, warmup=20)
    longer = config.rescaled(4.0)
    for step in (100, 150, 400, 799):
        assert schedule_factor(longer, 4 * step, 3200) == pytest.approx(schedule_factor(config, step, 800), rel=1e-9)


@pytest.mark.parametrize(
    ("schedule", "theirs"),
    [
        ("exponential", lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.97)),
        ("cosine", lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40, eta_min=0.1)),
        ("step", lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.3)),
    ],
)
def test_schedules_agree_with_torch(schedule, theirs):
    config = OptimConfig(schedule=schedule, gamma=0.97, final_fraction=0.1, step_every=7, step_factor=0.3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = theirs(optimizer)
    for step in range(40):
        assert schedule_factor(config, step, 40) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0.0}, {"rate": math.nan}, {"warmup": -1}, {"final_fraction": 2.0}, {"betas": (0.9, 1.0)}, {"clip": -1.0}],
)
def test_impossible_settings_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OptimConfig(**wrong)


# --- Adam ---


@pytest.mark.parametrize(
    "settings", [{}, {"amsgrad": True}, {"weight_decay": 0.1}, {"betas": (0.8, 0.95), "eps": 1e-4}]
)
def test_adam_is_torchs_adamw(settings):
    ours, theirs = parameter(5, 3), None
    theirs = nn.Parameter(ours.detach().clone())
    gradients = [[randn(5, 3)] for _ in range(10)]
    optimizers = build_optimizer([ParamGroup("a", [ours])], OptimConfig(rate=0.01, **settings))
    for step in gradients:
        ours.grad = step[0].clone()
        optimizers.step(0.5)
    reference = torch.optim.AdamW([theirs], lr=0.005, foreach=False, **{"weight_decay": 0.0, **settings})
    run(reference, [theirs], gradients)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


def test_complex_weights_train_too():
    weight = nn.Parameter(torch.complex(randn(4), randn(4)))
    optimizers = build_optimizer([ParamGroup("a", [weight])], OptimConfig(rate=0.1, clip=1.0))
    for _ in range(200):
        optimizers.zero_grad()
        weight.abs().square().sum().backward()
        optimizers.clip_gradients()
        optimizers.step(1.0)
    assert weight.abs().max() < 0.05


# --- Muon ---


@pytest.mark.parametrize("shape", [(8, 8), (4, 16), (16, 4)])
def test_muon_of_a_matrix_is_torchs(shape):
    ours = parameter(*shape)
    theirs = nn.Parameter(ours.detach().clone())
    gradients = [[randn(*shape)] for _ in range(6)]
    run(Muon([ours], lr=0.05, weight_decay=0.1), [ours], gradients)
    run(torch.optim.Muon([theirs], lr=0.05, weight_decay=0.1, momentum=0.95), [theirs], gradients)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0.05 * 0.03)  # bfloat16 inside: 3 % of a step


def test_muon_treats_each_matrix_of_a_batch_alone():
    batch = parameter(3, 10, 4)  # [k, out, in]
    alone = [nn.Parameter(m.clone()) for m in batch.detach()]
    gradients = [randn(3, 10, 4) for _ in range(5)]
    run(Muon([batch], lr=0.05), [batch], [[g] for g in gradients])
    for k, matrix in enumerate(alone):
        run(torch.optim.Muon([matrix], lr=0.05, weight_decay=0.0), [matrix], [[g[k]] for g in gradients])
        torch.testing.assert_close(batch[k], matrix, rtol=0, atol=0.05 * 0.05)


def test_matrices_of_one_shape_do_not_disturb_each_other():
    together = [parameter(6, 6), parameter(6, 9), parameter(9, 6)]
    alone = [nn.Parameter(p.detach().clone()) for p in together]
    gradients = [[randn(*p.shape) for p in together] for _ in range(4)]
    run(Muon(together, lr=0.1), together, gradients)
    for i, p in enumerate(alone):
        run(Muon([p], lr=0.1), [p], [[step[i]] for step in gradients])
        torch.testing.assert_close(p, together[i], rtol=0, atol=0.1 * 0.03)


def test_orthogonalizing_brings_singular_values_near_one_and_keeps_the_singular_vectors():
    u, _ = torch.linalg.qr(randn(2, 6, 6))
    v, _ = torch.linalg.qr(randn(2, 9, 6))
    matrices = u @ torch.diag(torch.tensor([5.0, 3.0, 2.0, 1.0, 0.7, 0.5])) @ v.mT
    result = orthogonalize(matrices).float()
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6 and values.max() < 1.3
    core = u.mT @ result @ v
    assert (core - torch.diag_embed(core.diagonal(dim1=1, dim2=2))).abs().max() < 0.05


def test_an_expert_without_gradient_stays_and_muon_refuses_vectors():
    batch = parameter(2, 3, 3)
    before = batch.detach().clone()
    gradient = torch.stack([torch.zeros(3, 3), randn(3, 3)])
    run(Muon([batch]), [batch], [[gradient]])
    assert torch.equal(batch[0], before[0]) and not torch.equal(batch[1], before[1])
    with pytest.raises(ValueError, match=r"matrices .* found \[3\]"):
        Muon([parameter(3)])


# --- lazy Adam ---


def sparse(rows, values, size):
    return torch.sparse_coo_tensor(torch.tensor([rows]), values, (size, *values.shape[1:]), check_invariants=True)


def test_each_row_is_trained_by_its_own_adam():
    table = parameter(5, 3)
    rows = [[0, 2], [2], [2, 4], [0, 2, 4], [4]]
    gradients = [randn(len(r), 3) for r in rows]
    expected = table.detach().clone()
    for row in range(5):
        alone = nn.Parameter(expected[row].clone())
        mine = [[g[r.index(row)]] for r, g in zip(rows, gradients, strict=True) if row in r]
        run(torch.optim.Adam([alone], lr=0.1), [alone], mine)
        expected[row] = alone.detach()
    run(LazyAdam([table], lr=0.1), [table], [[sparse(r, g, 5)] for r, g in zip(rows, gradients, strict=True)])
    torch.testing.assert_close(table.detach(), expected)


def test_untouched_rows_and_their_moments_stay_as_they_are():
    table = parameter(4, 2)
    optimizer = LazyAdam([table], lr=0.1, weight_decay=0.1)
    run(optimizer, [table], [[sparse([0, 3], randn(2, 2), 4)]])
    before = {key: value.clone() for key, value in optimizer.state[table].items()} | {"": table.detach().clone()}
    run(optimizer, [table], [[sparse([3], randn(1, 2), 4)]])
    after = {**optimizer.state[table], "": table.detach()}
    for key, value in before.items():
        assert torch.equal(after[key][:3], value[:3]) and not torch.equal(after[key][3], value[3])


def test_a_row_first_touched_late_moves_one_rate_where_torchs_sparse_adam_moves_three():
    def late(make):
        table = nn.Parameter(torch.zeros(2, 1))
        steps = [[sparse([0], torch.ones(1, 1), 2)] for _ in range(500)] + [[sparse([1], torch.ones(1, 1), 2)]]
        run(make([table], lr=0.01), [table], steps)
        return -table[1].item() / 0.01

    assert late(LazyAdam) == pytest.approx(1.0, rel=1e-4)
    assert late(torch.optim.SparseAdam) > 1.9


def test_dense_and_repeated_sparse_gradients_mean_the_same():
    a = parameter(6, 2)
    b = nn.Parameter(a.detach().clone())
    values = randn(3, 2)
    doubled = sparse([1, 4, 1], values, 6)
    run(LazyAdam([a]), [a], [[doubled]] * 3)
    run(LazyAdam([b]), [b], [[doubled.to_dense()]] * 3)
    assert torch.equal(a, b)
    rows, _ = touched(doubled.to_dense())
    assert rows.tolist() == [1, 4]


# --- all together ---


def test_clipping_scales_the_whole_gradient_and_reports_its_norm():
    dense, table = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(3, 1))
    groups = [ParamGroup("a", [dense]), ParamGroup("b", [table], "sparse")]
    optimizers = build_optimizer(groups, OptimConfig(clip=1.0))
    dense.grad = torch.tensor([3.0])
    table.grad = sparse([1, 1], torch.tensor([[1.0], [3.0]]), 3)
    assert optimizers.clip_gradients().item() == 5.0
    torch.testing.assert_close(dense.grad, torch.tensor([0.6]))
    torch.testing.assert_close(table.grad.to_dense()[:, 0], torch.tensor([0.0, 0.8, 0.0]))
    assert optimizers.clip_gradients().item() == pytest.approx(1.0)


def groups():
    return [
        ParamGroup("hidden", [parameter(4, 4)], "matrix", rate_scale=2.0),
        ParamGroup("experts.w", [parameter(2, 4, 4)], "matrix"),
        ParamGroup("table", [parameter(5, 2)], "sparse"),
        ParamGroup("other", [parameter(4), parameter(3)]),
    ]


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_state_put_back_goes_on_bit_for_bit(name):
    config = OptimConfig(optimizer=name, amsgrad=True)
    first, second = groups(), groups()
    a, b = build_optimizer(first, config), build_optimizer(second, config)

    def step(optimizers, gradients):
        for p, g in zip(optimizers.parameters[:-1], gradients, strict=True):  # the last one never has a gradient
            p.grad = g.clone()
        optimizers.step(0.7)

    gradients = [[randn(*p.shape) for p in a.parameters[:-1]] for _ in range(6)]
    for g in gradients[:3]:
        step(a, g)
    with torch.no_grad():
        for p, q in zip(a.parameters, b.parameters, strict=True):
            q.copy_(p)
    b.load({key: value.clone() for key, value in a.state_dict().items()})
    for g in gradients[3:]:
        step(a, g)
        step(b, g)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters, b.parameters, strict=True))
    saved, again = a.state_dict(), b.state_dict()
    assert list(saved) == list(again) and all(torch.equal(saved[key], again[key]) for key in saved)
    assert not any(key.startswith("other/1/") for key in saved)


def test_rate_scale_and_factor_multiply_the_rate():
    p, q = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    optimizers = build_optimizer([ParamGroup("p", [p], rate_scale=3.0), ParamGroup("q", [q])], OptimConfig(rate=0.01))
    p.grad = q.grad = torch.ones(2)
    optimizers.step(0.5)
    torch.testing.assert_close(p.detach(), torch.full((2,), -0.015))
    torch.testing.assert_close(q.detach(), torch.full((2,), -0.005))


def test_groups_are_frozen_by_name_or_family():
    mine = groups()
    optimizers = build_optimizer(mine, OptimConfig())
    optimizers.train_only(("experts", "table"))
    assert [g.parameters[0].requires_grad for g in mine] == [False, True, True, False]
    optimizers.train_only(())
    assert all(p.requires_grad for p in optimizers.parameters)
    with pytest.raises(ValueError, match="no parameter group 'expert' .*experts.w"):
        optimizers.train_only(("expert",))


def test_what_does_not_fit_is_refused():
    p = parameter(2)
    with pytest.raises(ValueError, match="found twice: a"):
        build_optimizer([ParamGroup("a", []), ParamGroup("a", [])], OptimConfig())
    with pytest.raises(ValueError, match="one group"):
        build_optimizer([ParamGroup("a", [p]), ParamGroup("b", [p])], OptimConfig())
    optimizers = build_optimizer([ParamGroup("a", [p])], OptimConfig())
    with pytest.raises(ValueError, match="knows 'b/0'"):
        optimizers.load({"b/0/exp_avg": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"is \[3\], not \[2\]"):
        optimizers.load({"a/0/exp_avg": torch.zeros(3)})
