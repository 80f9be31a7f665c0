"""The loop's laws: a stop changes nothing, a spoilt step goes back, an interruption leaves a checkpoint."""

import os
import signal
import threading

import pytest
import torch
from tiny_job import TinyJob

from recon import files
from recon.training import checkpoint, session
from recon.training.loop import train
from recon.training.optim import OptimConfig
from recon.training.plan import Stage, TrainConfig
from recon.training.run import Run

NAN = float("nan")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path))


@pytest.fixture
def run():
    return Run.create("sdf", "tiny", "tiny", {})


ALL = (Stage("all"),)


def config(steps=20, optimizer="adam", schedule="constant", stages=ALL, **settings):
    optim = OptimConfig(
        optimizer, rate=0.01, schedule=schedule, gamma=0.9, step_every=6, warmup=3, clip=0.5, amsgrad=True
    )
    return TrainConfig(steps, stages, optim, **{"checkpoint_every": 7, "log_every": 5, **settings})


def final(run):
    """All that the last checkpoint holds, but for the clock."""
    found = checkpoint.load(run.checkpoints)
    parts = {"model": found.model, "optimizer": found.optimizer, "random": found.random}
    state = {key: value for key, value in found.state.items() if key != "seconds"}
    return {f"{part}/{key}": value for part, tensors in parts.items() for key, value in tensors.items()}, state


def assert_same(a, b):
    (tensors_a, state_a), (tensors_b, state_b) = a, b
    assert state_a == state_b and tensors_a.keys() == tensors_b.keys()
    assert [key for key in tensors_a if not torch.equal(tensors_a[key], tensors_b[key])] == []


STAGES = {
    "one": ALL,
    "experts last": (
        Stage("all", 0.5, rate_scale=2.0),
        Stage("experts", 0.3, ("experts",), reset_optimizer=True),
        Stage("table", 0.2, ("table", "other")),
    ),
}


@pytest.mark.parametrize("schedule", ["constant", "exponential", "cosine", "step"])
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize(("stages", "stop"), [("one", 10), ("experts last", 10), ("experts last", 13)])
def test_a_stop_and_a_resume_equal_one_sitting_bit_for_bit(optimizer, schedule, stages, stop):
    settings = config(20, optimizer, schedule, STAGES[stages])
    whole, parts = (Run.create("sdf", name, "tiny", {}) for name in ("whole", "parts"))
    assert train(TinyJob(), settings, whole).status == "done"
    first = train(TinyJob(), settings, parts, stop_after=stop)
    assert (first.status, first.step) == ("stopped", stop)
    second = train(TinyJob(seed=99), settings, parts, resume=True)  # another start: all must come from the run
    assert (second.status, second.step) == ("done", 20) and second.seconds > first.seconds
    assert_same(final(whole), final(parts))


def test_training_changes_the_weights_and_lowers_the_loss(run):
    job = TinyJob()
    before = {key: value.clone() for key, value in job.state().items()}
    losses = []
    train(job, config(150), run, on_step=lambda step, losses_: losses.append((step, losses_["fit"].item())))
    assert [step for step, _ in losses] == list(range(150))
    assert sum(loss for _, loss in losses[-30:]) < sum(loss for _, loss in losses[:30])
    assert all(not torch.equal(before[key], value) for key, value in job.state().items())


def test_a_stage_moves_only_its_own_and_all_is_trainable_afterwards(run):
    late = Stage("experts", 0.5, ("experts",), reset_optimizer=True, rate_scale=0.1)
    settings = config(10, stages=(Stage("all", 0.5), late))
    train(TinyJob(), settings, run, stop_after=5)
    middle, _ = final(run)
    job = TinyJob()
    train(job, settings, run, resume=True)
    end, _ = final(run)
    moved = {key for key in end if key.startswith("model/") and not torch.equal(end[key], middle[key])}
    assert moved == {"model/experts", "model/seen"}
    assert {key.split("/")[1] for key in end if key.startswith("optimizer/")} == {"experts.matrix"}
    assert end["optimizer/experts.matrix/0/step"] == 5
    assert {row["step"]: (row["stage"], row["rate"]) for row in run.read_log() if "rate" in row} == {
        1: ("all", pytest.approx(0.01 / 3)),
        5: ("all", 0.01),
        6: ("experts", pytest.approx(0.001)),
        10: ("experts", pytest.approx(0.001)),
    }
    assert all(p.requires_grad for group in job.parameter_groups() for p in group.parameters)


def test_the_first_non_finite_loss_goes_back_once_at_half_the_rate(run):
    spoilt = []

    def once(step, loss):
        if step == 11 and not spoilt:
            spoilt.append(step)
            return loss * NAN
        return loss

    outcome = train(TinyJob(spoil=once), config(), run)
    assert outcome.status == "done" and outcome.step == 20 and len(outcome.warnings) == 1
    assert "the loss became nan at step 11; went back to step 7 and go on at half the rate" in outcome.warnings[0]
    _, state = final(run)
    assert state["rate_factor"] == 0.5 and state["rollbacks"] == 1
    rates = {row["step"]: row["rate"] for row in run.read_log() if "rate" in row}
    assert rates[5] == 0.01 and rates[15] == rates[20] == 0.005
    assert [row["from_step"] for row in run.read_log() if row.get("event") == "rolled back"] == [7]


def test_going_back_restores_everything_exactly():
    def once(spoilt):
        def spoil(step, loss):
            if step == 11 and not spoilt:
                spoilt.append(step)
                return loss * NAN
            return loss

        return spoil

    back, resumed = (Run.create("sdf", name, "tiny", {}) for name in ("back", "resumed"))
    train(TinyJob(spoil=once([])), config(), back)
    train(TinyJob(), config(), resumed, stop_after=7)
    place = checkpoint.load(resumed.checkpoints)
    state = {**place.state, "rate_factor": 0.5, "rollbacks": 1}
    checkpoint.save(resumed.checkpoints, place.model, place.optimizer, place.random, state)
    train(TinyJob(), config(), resumed, resume=True)
    assert_same(final(back), final(resumed))


@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_the_second_time_training_stops_and_keeps_the_last_good_state(run, value):
    job = TinyJob(spoil=lambda step, loss: loss * value if step >= 11 else loss)
    outcome = train(job, config(), run)
    assert (outcome.status, outcome.step) == ("diverged", 7) and f"the loss became {value}" in outcome.reason
    tensors, state = final(run)
    assert state["step"] == 7 and all(value.isfinite().all() for value in tensors.values())
    assert run.read_log()[-1]["event"] == "diverged"
    assert torch.equal(job.state()["experts"], tensors["model/experts"])
    stopped = Run.create("sdf", "stopped", "tiny", {})
    train(TinyJob(), config(), stopped, stop_after=7)
    assert all(torch.equal(value, tensors[key]) for key, value in final(stopped)[0].items())


@pytest.mark.parametrize("times", [1, 2])
def test_where_looking_waits_for_a_device_divergence_is_still_found_before_it_is_saved(run, monkeypatch, times):
    monkeypatch.setattr(session, "_ready", lambda tensor: False)
    left = [NAN] * times

    def spoil(step, loss):
        return loss * left.pop() if step == 11 and left else loss

    outcome = train(TinyJob(spoil=spoil), config(), run)
    assert outcome.status == ("done" if times == 1 else "diverged") and len(outcome.warnings) == times
    assert all(value.isfinite().all() for value in final(run)[0].values())
    assert final(run)[1]["step"] == outcome.step == (20 if times == 1 else 7)


def test_an_interruption_right_after_going_back_saves_the_halved_rate(run):
    def spoil(step, loss):
        if step < 11:
            return loss
        os.kill(os.getpid(), signal.SIGINT)
        return loss * NAN

    outcome = train(TinyJob(spoil=spoil), config(), run)
    assert (outcome.status, outcome.step) == ("interrupted", 7)
    assert final(run)[1]["rate_factor"] == 0.5 and final(run)[1]["rollbacks"] == 1


def test_divergence_before_the_first_checkpoint_keeps_the_start(run):
    outcome = train(TinyJob(spoil=lambda step, loss: loss * NAN), config(), run)
    assert (outcome.status, outcome.step) == ("diverged", 0) and final(run)[1]["step"] == 0


def test_a_non_finite_gradient_of_a_finite_loss_is_noticed(run):
    job = TinyJob(spoil=lambda step, loss: loss + (loss * 0).sqrt() if step == 3 else loss)  # the slope of sqrt at 0
    outcome = train(job, config(), run)
    assert outcome.status == "diverged" and "the gradient's norm became" in outcome.reason


def test_a_weight_that_overflows_never_reaches_a_checkpoint(run):
    job = TinyJob()

    def overflow(step, loss):
        with torch.no_grad():
            job.last.bias.fill_(float("inf")) if step == 6 else None
        return loss * 0 if step >= 6 else loss

    job.spoil = overflow
    outcome = train(job, config(), run)
    assert outcome.status == "diverged" and final(run)[1]["step"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_finishes_the_step_and_leaves_a_checkpoint_to_resume(run, number):
    before = signal.getsignal(number)
    outcome = train(
        TinyJob(), config(), run, on_step=lambda step, _: os.kill(os.getpid(), number) if step == 8 else None
    )
    assert (outcome.status, outcome.step) == ("interrupted", 9) and signal.getsignal(number) is before
    assert final(run)[1]["step"] == 9
    assert train(TinyJob(), config(), run, resume=True).status == "done"
    whole = Run.create("sdf", "whole", "tiny", {})
    train(TinyJob(), config(), whole)
    assert_same(final(whole), final(run))


def test_a_second_interruption_aborts_at_once(run):
    def impatient(step, loss):
        if step == 8:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return loss

    with pytest.raises(KeyboardInterrupt):
        train(TinyJob(spoil=impatient), config(), run)
    assert final(run)[1]["step"] == 7


def test_outside_the_main_thread_it_trains_without_signals(run):
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(train(TinyJob(), config(), run)))
    thread.start()
    thread.join()
    assert outcomes[0].status == "done"


def test_a_done_run_resumed_does_nothing_and_more_steps_go_on(run):
    train(TinyJob(), config(), run)
    before = sorted(run.checkpoints.iterdir())
    assert train(TinyJob(), config(), run, resume=True).status == "done" and sorted(run.checkpoints.iterdir()) == before
    outcome = train(TinyJob(), config(25), run, resume=True)
    assert (outcome.status, outcome.step) == ("done", 25)


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(run, capsys):
    train(TinyJob(), config(), run)
    model = run.checkpoints / "step-000020" / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    outcome = train(TinyJob(), config(), run, resume=True)
    assert outcome.status == "done" and "step-000020 is damaged" in outcome.warnings[0]
    assert "warning: checkpoint step-000020 is damaged" in capsys.readouterr().err
    assert checkpoint.load(run.checkpoints).step == 20 and not checkpoint.load(run.checkpoints).warnings
    whole = Run.create("sdf", "whole", "tiny", {})
    train(TinyJob(), config(), whole)
    assert_same(final(whole), final(run))


def test_a_full_disk_in_training_says_so_and_loses_nothing(run, monkeypatch):
    train(TinyJob(), config(), run, stop_after=7)

    def no_space(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space left"):
        patch.setattr(files, "_write", no_space)
        train(TinyJob(), config(), run, resume=True)
    assert final(run)[1]["step"] == 7
    assert train(TinyJob(), config(), run, resume=True).status == "done"


def test_a_trained_run_is_never_trained_over_and_an_untrained_one_not_resumed(run):
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        train(TinyJob(), config(), run, resume=True)
    train(TinyJob(), config(), run, stop_after=3)
    with pytest.raises(FileExistsError, match="trained before: resume it"):
        train(TinyJob(), config(), run)


def test_a_checkpoint_of_another_model_is_refused(run):
    train(TinyJob(), config(), run, stop_after=3)
    other = TinyJob()
    other.hidden = torch.nn.Linear(8, 9)
    with pytest.raises(ValueError, match="checkpoint step-000003 does not fit this model"):
        train(other, config(), run, resume=True)


def test_a_stage_of_an_unknown_group_is_an_error_before_any_work(run):
    with pytest.raises(ValueError, match="no parameter group 'expert'"):
        train(TinyJob(), config(stages=(Stage("all"), Stage("late", 1.0, ("expert",)))), run)
    assert not run.checkpoints.exists()


def test_the_best_score_picks_the_best_checkpoint_and_asking_for_it_disturbs_nothing():
    scored, plain = (Run.create("sdf", name, "tiny", {}) for name in ("scored", "plain"))
    job = TinyJob()
    job.scores = [0.5, 0.9, NAN]
    train(job, config(28), scored, stop_after=21)
    again = TinyJob()
    again.scores = [0.8]
    train(again, config(28), scored, resume=True)
    assert checkpoint.load(scored.checkpoints, best=True).step == 14
    train(TinyJob(), config(28), plain)
    assert checkpoint.load(plain.checkpoints, best=True).step == 28
    assert [key for key, value in final(scored)[0].items() if not torch.equal(value, final(plain)[0][key])] == []


def test_log_and_events_tell_the_story(run, capsys):
    train(TinyJob(), config(), run, stop_after=10)
    train(TinyJob(), config(), run, resume=True)
    rows = run.read_log()
    assert [row["step"] for row in rows if "event" not in row] == [1, 5, 10, 11, 15, 20]
    assert [row["event"] for row in rows if "event" in row] == ["stopped", "resumed", "done"]
    row = rows[0]
    assert row["loss"] == pytest.approx(sum(row["losses"].values()), rel=1e-6) and set(row["losses"]) == {"fit", "size"}
    assert row["rate"] == pytest.approx(0.01 / 3) and row["points_per_second"] > 0 and row["peak_memory"] > 2**20
    assert len(list((run.folder / "tb").glob("events*"))) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "step 20/20  loss" in captured.err
