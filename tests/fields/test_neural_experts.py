"""Neural Experts against loops over points and experts, its pretraining, and the paper's counts."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from recon.fields.feature_grid import FeatureGridConfig
from recon.fields.ffn import FourierFeatures
from recon.fields.neural_experts import NO_LABEL, NeuralExperts, NeuralExpertsConfig, assignment_loss

TINY = NeuralExpertsConfig(
    experts=4,
    expert_width=5,
    expert_layers=2,
    encoder_width=6,
    encoder_layers=2,
    manager_width=7,
    manager_layers=2,
    manager_encoder_layers=1,
    omega=6.0,
    expert_omega=4.0,
    scale=1.1,
)
every_conditioning = pytest.mark.parametrize("conditioning", ["concatenate", "max", "mean", "none"])


def build(seed: int = 0, **settings) -> NeuralExperts:
    torch.manual_seed(seed)
    return dataclasses.replace(TINY, **settings).build(3, 2).double()


def balanced(field: NeuralExperts) -> NeuralExperts:
    """The field with a gate that uses all experts: a random one is mostly decided by its last bias."""
    with torch.no_grad():
        x = points(100)
        logits = field.gate_logits(x, field.encode(x))
        field.manager[-1].bias -= logits.mean(dim=0)
    return field


def points(n: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def sines(stack: torch.nn.Module, h: torch.Tensor, omega: float) -> torch.Tensor:
    for m in stack.modules():
        if isinstance(m, torch.nn.Linear):
            h = torch.sin(omega * (h @ m.weight.T + m.bias))
    return h


def slow_gate(field: NeuralExperts, x: torch.Tensor) -> torch.Tensor:
    """softmax(Phi_m([E_m(x), E_e(x)])) (Eq. 1)."""
    own, seen = (sines(part, 1.1 * x, 6.0) for part in (field.manager_encoder, field.encoder))
    pooled = {"max": lambda: seen.max(dim=0).values, "mean": lambda: seen.sum(dim=0) / len(seen)}
    match field.config.conditioning:
        case "none":
            joined = own
        case "concatenate":
            joined = torch.cat([own, seen], dim=1)
        case pooling:
            joined = torch.stack([torch.cat([row, pooled[pooling]()]) for row in own])
    last = field.manager[-1]
    logits = sines(field.manager[:-1], joined, 6.0) @ last.weight.T + last.bias
    return logits.exp() / logits.exp().sum(dim=1, keepdim=True)


def slow_experts(field: NeuralExperts, x: torch.Tensor) -> torch.Tensor:
    """Phi_j(E_e(x)) for each expert j by itself: [n, k, c]."""
    stack, outputs = field.expert_stack, []
    for j in range(field.config.experts):
        h = sines(field.encoder, 1.1 * x, 6.0)
        for weight, bias in list(zip(stack.weights, stack.biases, strict=True))[:-1]:
            h = torch.sin(4.0 * (h @ weight[j].T + bias[j]))
        outputs.append(h @ stack.weights[-1][j].T + stack.biases[-1][j])
    return torch.stack(outputs, dim=1)


# --- one function against its formula ---


@every_conditioning
def test_all_experts_and_the_gate_are_the_formulas(conditioning):
    field, x = build(conditioning=conditioning), points(20)
    outputs, gate = field.experts(x)
    torch.testing.assert_close(outputs, slow_experts(field, x))
    torch.testing.assert_close(gate, slow_gate(field, x))


@every_conditioning
def test_training_weighs_all_experts_by_the_gate(conditioning):
    field, x = build(conditioning=conditioning), points(20)
    expected = sum(slow_gate(field, x)[:, j, None] * slow_experts(field, x)[:, j] for j in range(4))
    torch.testing.assert_close(field.train()(x), expected)


@every_conditioning
def test_evaluation_takes_the_most_probable_expert_alone(conditioning):
    field, x = balanced(build(conditioning=conditioning)).eval(), points(50)
    chosen = slow_gate(field, x).argmax(dim=1)
    assert len(chosen.unique()) == 4
    assert torch.equal(field.assign(x), chosen)
    torch.testing.assert_close(field(x), slow_experts(field, x)[torch.arange(50), chosen])
    torch.testing.assert_close(field.evaluator()(x), field(x).detach())


@every_conditioning
def test_gradients_of_both_ways_are_those_of_the_formula(conditioning):
    field, x = balanced(build(conditioning=conditioning)), points(12)
    gate, outputs = slow_gate(field, x), slow_experts(field, x)
    slow = {True: (gate[..., None] * outputs).sum(dim=1), False: outputs[torch.arange(12), gate.argmax(dim=1)]}
    parameters = [*field.parameters()]
    for training, expected in slow.items():
        pair = (
            torch.autograd.grad(y.square().sum(), parameters, materialize_grads=True, retain_graph=True)
            for y in (field.train(training)(x), expected)
        )
        for a, b in zip(*pair, strict=True):
            torch.testing.assert_close(a, b)


def test_the_grid_encoder_takes_the_place_of_the_sines():
    field = build(encoder="feature-grid", grid=FeatureGridConfig(resolutions=(3, 4), channels=2, init=1.0)).eval()
    x = points(30)
    encoded = field.encode(x)
    assert encoded.shape == (30, 2 * 2 + 3)
    torch.testing.assert_close(encoded[:, 4:], x)  # the grid sees the cube as it is: only sines scale it
    outputs, gate = field.experts(x)
    torch.testing.assert_close(field(x), outputs[torch.arange(30), gate.argmax(dim=1)])


# --- routing at its edges ---


def always(field: NeuralExperts, expert: int) -> NeuralExperts:
    """The field with a gate that sends all points to one expert."""
    with torch.no_grad():
        field.manager[-1].weight.zero_()
        field.manager[-1].bias.copy_(torch.nn.functional.one_hot(torch.tensor(expert), field.config.experts))
    return field


@pytest.mark.parametrize("expert", range(4))
def test_experts_that_no_point_chose_are_left_out(expert):
    field, x = always(build().eval(), expert), points(9)
    y = field(x)
    torch.testing.assert_close(y, slow_experts(field, x)[:, expert])
    y.sum().backward()
    for p in field.expert_stack.parameters():
        assert p.grad is not None
        assert [bool(g.any()) for g in p.grad] == [j == expert for j in range(4)]


@every_conditioning
@pytest.mark.parametrize("n", [0, 1])
def test_no_point_and_one_point(conditioning, n):
    field, x = build(conditioning=conditioning), points(n)
    for training in (True, False):
        assert field.train(training)(x).shape == (n, 2)
    outputs, gate = field.experts(x)
    assert (outputs.shape, gate.shape) == ((n, 4, 2), (n, 4))


def test_a_single_expert_is_always_chosen():
    field, x = build(experts=1), points(6)
    torch.testing.assert_close(field.train()(x), field.eval()(x))


def test_one_expert_layer_and_one_manager_layer_are_enough():
    field, x = balanced(build(expert_layers=1, manager_layers=1, encoder_layers=1)).eval(), points(10)
    torch.testing.assert_close(field(x), slow_experts(field, x)[torch.arange(10), slow_gate(field, x).argmax(dim=1)])


# --- activations ---

ACTIVATIONS = ("sine", "finer", "softplus", "softplus-fourier")
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def activate(z: torch.Tensor, activation: str, omega: float, frozen: bool) -> torch.Tensor:
    """sin(omega z), sin(omega (|z| + 1) z), log(1 + exp(100 z)) / 100; a frozen scale has no gradient."""
    if activation == "sine":
        return torch.sin(omega * z)
    if activation == "finer":
        scale = z.abs() + 1
        return torch.sin(omega * (scale.detach() if frozen else scale) * z)
    return torch.logaddexp(100 * z, torch.zeros_like(z)) / 100


def written_down(field: NeuralExperts, x: torch.Tensor, frozen: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs [n, k, c] and gate, one expert after the other."""
    config, stack = field.config, field.expert_stack

    def layers(part, h, omega):
        if isinstance(part[0], FourierFeatures):
            waves = 2 * torch.pi * h @ part[0].directions.T
            h = torch.cat([h, torch.sin(waves) / 8, torch.cos(waves) / 8], dim=1)
        for m in part.modules():
            if isinstance(m, torch.nn.Linear):
                h = activate(h @ m.weight.T + m.bias, config.activation, omega, frozen)
        return h

    seen, own = (layers(part, config.scale * x, config.omega) for part in (field.encoder, field.manager_encoder))
    joined = layers(field.manager[:-1], torch.cat([own, seen], dim=1), config.omega)
    logits = joined @ field.manager[-1].weight.T + field.manager[-1].bias
    outputs = []
    for j in range(config.experts):
        h = seen
        *hidden, (last, last_bias) = zip(stack.weights, stack.biases, strict=True)
        for weight, bias in hidden:
            h = activate(h @ weight[j].T + bias[j], config.activation, config.expert_omega, frozen)
        outputs.append(h @ last[j].T + last_bias[j])
    return torch.stack(outputs, dim=1), logits.softmax(dim=1)


@every_activation
@pytest.mark.parametrize("training", [True, False])
def test_the_activation_holds_in_every_part_in_training_and_routed(activation, training):
    field, x = balanced(build(activation=activation)).train(training), points(20)
    outputs, gate = written_down(field, x, frozen=training)
    if training:
        expected = (outputs * gate[..., None]).sum(dim=1)
    else:
        expected = outputs[torch.arange(20), gate.argmax(dim=1)]
    found = field(x)
    torch.testing.assert_close(found, expected)
    pair = (
        torch.autograd.grad(y.square().sum(), [*field.parameters()], materialize_grads=True) for y in (found, expected)
    )
    for a, b in zip(*pair, strict=True):
        torch.testing.assert_close(a, b)


def test_both_encoders_have_random_features_of_their_own_which_do_not_train():
    field = build(activation="softplus-fourier")
    first, second = field.encoder[0].directions, field.manager_encoder[0].directions
    assert first.shape == (64, 3) and not torch.equal(first, second)
    assert not any("directions" in name for name, _ in field.named_parameters())
    assert {"encoder.0.directions", "manager_encoder.0.directions"} <= set(field.state_dict())


@pytest.mark.parametrize("activation", ["softplus", "softplus-fourier"])
def test_softplus_starts_at_he_s_bound(activation):
    torch.manual_seed(0)
    field = NeuralExpertsConfig(activation=activation, expert_width=40).build(3, 1)
    weights = [
        (field.expert_stack.weights[0], 256),
        (field.encoder[-1].linear.weight, 256),
        (field.manager[-1].weight, 64),
    ]
    for weight, fan_in in weights:
        bound = (6 / fan_in) ** 0.5
        assert 0.95 * bound < float(weight.detach().abs().max()) <= bound


# --- initialisation ---


def test_experts_start_at_siren_s_bound_for_their_own_frequency():
    torch.manual_seed(0)
    stack = NeuralExpertsConfig(expert_omega=12.0, expert_width=40).build(3, 1).expert_stack
    for weight, fan_in in zip(stack.weights, (256, 40, 40, 40), strict=True):
        bound = (6 / fan_in) ** 0.5 / 12
        assert 0.95 * bound < float(weight.detach().abs().max()) <= bound
    for bias, fan_in in zip(stack.biases, (256, 40, 40, 40), strict=True):
        assert 0.7 * fan_in**-0.5 < float(bias.detach().abs().max()) <= fan_in**-0.5


def test_experts_start_different():
    for weight in build().expert_stack.weights:
        assert not torch.equal(weight[0], weight[1])


def test_all_biases_are_zero_where_the_authors_are_followed():
    field = build(biases="zero")
    biases = [p for name, p in field.named_parameters() if "bias" in name]
    assert len(biases) == 9
    assert not any(b.any() for b in biases)


# --- pretraining ---

LABEL_CELLS = NeuralExpertsConfig().label_cells


def cell_centres(n: int = 20_000) -> torch.Tensor:
    """Centres of random cells of the label grid."""
    rng = torch.Generator().manual_seed(5)
    return (torch.randint(LABEL_CELLS, (n, 3), generator=rng) + 0.5) * (2 / LABEL_CELLS) - 1


@pytest.mark.parametrize("experts", [2, 5, 8])
def test_random_labels_are_balanced_and_independent_of_place(experts):
    field, x = build(experts=experts), cell_centres()
    labels = field.labels(x)
    spread = (len(x) * (1 / experts) * (1 - 1 / experts)) ** 0.5
    for part in (labels, labels[x[:, 0] < 0]):
        share = torch.bincount(part, minlength=experts)
        assert float((share - len(part) / experts).abs().max()) < 5 * spread
    beside = field.labels((x + torch.tensor([2 / LABEL_CELLS, 0, 0])).clamp(max=1))
    assert abs(float((labels == beside)[x[:, 0] < 0.9].double().mean()) - 1 / experts) < 0.02


def test_random_labels_depend_on_their_seed_alone():
    x = cell_centres(500)
    labels = build(seed=0).labels(x)
    assert torch.equal(labels, build(seed=9).labels(x))
    assert not torch.equal(labels, build(label_seed=1).labels(x))
    assert torch.equal(labels[:7], build().labels(x[:7]))


@pytest.mark.parametrize("pretraining", ["random", "grid"])
def test_a_label_belongs_to_a_cell_whose_faces_close_the_cube(pretraining):
    field, x = build(pretraining=pretraining), cell_centres(300)
    inside = x + (torch.rand(300, 3, generator=torch.Generator().manual_seed(6)) - 0.5) * (1.99 / LABEL_CELLS)
    assert torch.equal(field.labels(inside), field.labels(x))
    last = 1 - 1 / LABEL_CELLS
    assert torch.equal(field.labels(torch.full((1, 3), 1.0)), field.labels(torch.full((1, 3), last)))
    assert torch.equal(field.labels(torch.full((1, 3), -1.0)), field.labels(torch.full((1, 3), -last)))


@pytest.mark.parametrize(("experts", "sides"), [(8, (2, 2, 2)), (6, (2, 1, 3)), (7, (1, 1, 7)), (12, (2, 2, 3))])
def test_a_grid_s_tile_holds_each_expert_once_and_repeats(experts, sides):
    field = build(pretraining="grid", experts=experts)

    def label(cells: torch.Tensor) -> torch.Tensor:
        return field.labels((cells + 0.5) * (2 / LABEL_CELLS) - 1)

    tile = torch.cartesian_prod(*map(torch.arange, sides))
    assert sorted(label(tile).tolist()) == list(range(experts))
    for shift in torch.eye(3, dtype=torch.long) * torch.tensor(sides):
        assert torch.equal(label(tile + shift), label(tile))


@given(experts=st.integers(1, 40), dims=st.integers(1, 3))
def test_any_number_of_experts_has_a_tile(experts, dims):
    config = NeuralExpertsConfig(experts=experts, expert_width=1, encoder_width=1, manager_width=1, pretraining="grid")
    cells = torch.cartesian_prod(*[torch.arange(experts)] * dims).reshape(-1, dims)
    found = config.build(dims, 1).labels((cells + 0.5) * (2 / LABEL_CELLS) - 1)
    assert torch.bincount(found).tolist() == [experts ** (dims - 1)] * experts


@pytest.mark.parametrize(("experts", "sides"), [(4, (2, 2)), (6, (2, 3)), (3, (1, 3))])
def test_a_subdivision_gives_each_expert_one_block(experts, sides):
    config = NeuralExpertsConfig(experts=experts, expert_width=1, encoder_width=1, pretraining="subdivision")
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    x = (torch.stack([rows, columns], dim=-1).reshape(-1, 2) + 0.5) / 12 - 1
    expected = (rows * sides[0] // 24) * sides[1] + columns * sides[1] // 24
    assert torch.equal(config.build(2, 1).labels(x), expected.flatten())


def test_given_labels_are_read_by_cell_and_only_where_the_assignment_is_given():
    config = NeuralExpertsConfig(experts=3, expert_width=2, encoder_width=4, manager_width=4, pretraining="segments")
    field = config.build(2, 1)
    x = torch.tensor([[-0.9, -0.9], [-0.9, 0.9], [0.9, 0.0], [5.0, 1.0]])
    with pytest.raises(ValueError, match="comes with a signal"):
        field.labels(x)
    field.set_labels(torch.tensor([[0, 1, 2], [1, 2, NO_LABEL]]))
    assert field.labels(x).tolist() == [0, 2, 2, NO_LABEL]
    assert "_labels" not in field.state_dict()
    for wrong in (torch.tensor([[3]]), torch.tensor([[-2]]), torch.tensor([0])):
        with pytest.raises(ValueError, match="labels must lie on a grid"):
            field.set_labels(wrong)


def test_places_without_a_label_do_not_count():
    logits, labels = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0, NO_LABEL, NO_LABEL])
    assert torch.equal(assignment_loss(logits, labels), assignment_loss(logits[:4], labels[:4]))
    assert float(assignment_loss(logits, torch.full((6,), NO_LABEL))) == 0


@pytest.mark.parametrize("pretraining", ["random", "grid", "subdivision"])
def test_a_fixed_manager_is_the_assignment_itself_and_has_no_parameters(pretraining):
    field, x = build(manager="fixed", pretraining=pretraining), points(40)
    outputs, gate = field.experts(x)
    assert torch.equal(gate, torch.nn.functional.one_hot(field.labels(x), 4).to(gate))
    assert torch.equal(field.assign(x), field.labels(x))
    assert not any(name.startswith("manager") for name, _ in field.named_parameters())
    field.eval()
    torch.testing.assert_close(field(x), outputs[torch.arange(40), field.labels(x)])
    (gate * outputs.square().mean(dim=2)).sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in field.parameters())


@pytest.mark.parametrize("pretraining", ["kmeans", "segments", "none"])
def test_a_fixed_manager_needs_an_assignment_of_its_own(pretraining):
    with pytest.raises(ValueError, match="fixed manager needs pretraining random, grid, subdivision"):
        NeuralExpertsConfig(manager="fixed", pretraining=pretraining)


def test_labels_that_would_fill_the_memory_are_refused():
    with pytest.raises(ValueError, match="label_cells 300 make 27,000,000 cells"):
        NeuralExpertsConfig(label_cells=300).build(3, 1)


def test_the_pretraining_loss_is_its_formula():
    field, x = build(), points(30)
    logits = field.gate_logits(x, field.encode(x))
    chosen = torch.nn.functional.one_hot(field.labels(x), 4).double()
    smooth = 0.99 * chosen + 0.01 / 4
    entropy = -(smooth * logits.log_softmax(dim=1)).sum(dim=1).mean()
    even = -(0.25 * logits.sigmoid().log() + 0.75 * (-logits).sigmoid().log()).mean()
    torch.testing.assert_close(field.pretrain_loss(x), 1000 * (entropy + 0.1 * even))
    torch.testing.assert_close(entropy, cross_entropy(logits, field.labels(x), label_smoothing=0.01))
    torch.testing.assert_close(even, binary_cross_entropy_with_logits(logits, torch.full_like(logits, 0.25)))


@pytest.mark.parametrize("pretraining", ["random", "grid"])
def test_fifty_steps_of_pretraining_lower_its_loss_and_leave_the_experts(pretraining):
    torch.manual_seed(0)
    field = NeuralExpertsConfig(experts=2, encoder_width=64, manager_width=64, pretraining=pretraining).build(3, 1)
    before = [p.detach().clone() for p in field.expert_stack.parameters()]
    x = points(300).float()
    trained = [p for name, p in field.named_parameters() if not name.startswith("expert_stack.")]
    optimizer = torch.optim.Adam(trained, lr=1e-3)
    losses = []
    for _ in range(50):
        loss = field.pretrain_loss(x)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all(
        p.grad is None and torch.equal(p, b) for p, b in zip(field.expert_stack.parameters(), before, strict=True)
    )


# --- counts ---


def uniform_width(width: int, experts: int = 4, **settings) -> NeuralExpertsConfig:
    """The image networks: one width everywhere, experts of two hidden layers."""
    return NeuralExpertsConfig(
        experts=experts,
        expert_width=width,
        encoder_width=width,
        manager_width=width,
        **settings,
    )


ALLOCATION = NeuralExpertsConfig(experts=4, encoder_width=196, expert_width=85, manager_width=128)
LARGE = NeuralExpertsConfig(encoder_width=512, expert_width=64, manager_width=128)
PAPER = {  # settings, in, out, parameters, products of all experts, products routed (CONFIGURATIONS.md)
    "sdf-large": (LARGE, 3, 1, 1_285_904, 1_281_408, 994_240),
    "sdf-small": (NeuralExpertsConfig(), 3, 1, 323_472, 321_216, 249_312),
    "image": (uniform_width(128), 2, 3, 365_968, 363_008, 214_400),
    "image-small": (uniform_width(66), 2, 3, 98_686, 97_152, 57_354),
    "vanilla-moe-image": (uniform_width(128, conditioning="none"), 2, 3, 349_584, 346_624, 198_016),
    "sound": (uniform_width(128), 2, 1, 364_936, 361_984, 214_144),
    **{
        f"image, {n} experts": (uniform_width(128, n), 2, 3, params, None, None)
        for n, params in zip(range(2, 8), (265_864, 315_916, 365_968, 416_020, 466_072, 516_124), strict=True)
    },
    "allocation 196, 85, 128, 128": (ALLOCATION, 2, 3, 367_976, None, None),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_counts(name):
    config, in_dim, out_dim, params, all_experts, routed = PAPER[name]
    field = config.build(in_dim, out_dim)
    assert sum(p.numel() for p in field.parameters()) == params
    if all_experts is not None:
        assert field.macs() == all_experts
        assert field.routed_macs() == routed


def test_a_grid_encoder_s_reading_is_counted():
    field = build(encoder="feature-grid", grid=FeatureGridConfig(resolutions=(3, 4), channels=2))
    encoded, reading = 2 * 2 + 3, 2 * 8 * 2
    manager = 3 * 7 + (7 + encoded) * 7 + 7 * 7 + 7 * 4
    assert field.routed_macs() == reading + manager + (encoded * 5 + 5 * 5 + 5 * 2)
    assert field.macs() == reading + manager + 4 * (encoded * 5 + 5 * 5 + 5 * 2)


def test_the_profiler_s_count_adds_the_biases_of_all_experts():
    field = build()
    biases = sum(p.numel() for name, p in field.named_parameters() if "bias" in name)
    assert field.profiler_macs() == field.macs() + biases


def test_the_manager_s_own_encoder_may_have_a_width_of_its_own():
    field = build(manager_encoder_width=9)
    assert field.manager_encoder[-1].linear.out_features == 9
    assert field.manager[0].linear.in_features == 9 + 6
    assert field.forward(points(3)).shape == (3, 2)


def test_a_larger_mixture_has_more_units_in_every_part_and_finer_grids():
    config = dataclasses.replace(TINY, encoder="feature-grid", manager_encoder_width=8).scaled(2.0)
    assert isinstance(config, NeuralExpertsConfig)
    assert (config.encoder_width, config.expert_width, config.manager_width) == (12, 10, 14)
    assert (config.manager_encoder_width, TINY.scaled(2.0).manager_encoder_width) == (16, 0)
    assert config.grid == TINY.grid.scaled(2.0)


@pytest.mark.parametrize("name", ["experts", "expert_width", "encoder_layers", "manager_width"])
def test_a_count_of_none_is_refused_by_its_name(name):
    with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0"):
        dataclasses.replace(TINY, **{name: 0})
