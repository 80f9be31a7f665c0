"""What pruning keeps, and that it takes nothing else: no run at work, none behind a link, nothing outside."""

import os
import shutil

import pytest
import torch
from made_runs import make

from recon.studies.prune import choose, remove_checkpoints, remove_run, spare_checkpoints, tidy
from recon.studies.runs import survey
from recon.training import checkpoint, places
from recon.training.lock import holding
from recon.training.places import follow, list_runs, renders
from recon.training.run import Run


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RECON_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reasons(keep):
    choice = choose(survey(), keep)
    assert {one.folder for one in choice.gone}.isdisjoint(choice.kept)
    assert len(choice.gone) + len(choice.kept) == len(survey())
    return {folder: reason for folder, reason in choice.kept.items()}


def test_the_best_and_the_newest_of_each_task_data_and_field_stay():
    poor, best, newest = (make(10, "done", iou=iou).folder for iou in (0.3, 0.9, 0.5))
    other = make(10, "done", field="loe", iou=0.1).folder
    occupied = make(10, "done", task="occ", iou=0.1).folder
    together = {other: "newest and best", occupied: "newest and best"}
    assert reasons("best") == {best: "best", newest: "newest", **together}
    assert reasons("newest") == {newest: "newest", other: "newest", occupied: "newest"}
    assert [one.folder for one in choose(survey(), "best").gone] == [poor]


def test_runs_that_were_scored_in_other_ways_are_not_ranked_against_each_other():
    coarse = make(10, "done", iou=0.9, definitions={"trimap_iou_sampled_0.01": "of 10 points"}).folder
    fine = make(10, "done", iou=0.8, definitions={"trimap_iou_sampled_0.01": "of 1000 points"}).folder
    last = make(10, "done", iou=0.1, definitions={"trimap_iou_sampled_0.01": "of 1000 points"}).folder
    assert reasons("best") == {coarse: "best", fine: "best", last: "newest"}


def test_where_inside_is_unknown_the_smallest_distance_is_the_best():
    far, near, newest = (
        make(10, "done", scores={"iou": None, "chamfer_l1": distance}).folder for distance in (0.5, 0.1, 0.3)
    )
    assert reasons("best") == {near: "best", newest: "newest"} and far.is_dir()


def test_what_is_at_work_broken_or_behind_a_link_stays_and_does_not_count_as_the_newest(home):
    done, begun, broken, busy = make(10, "done"), make(), make(10, "done"), make(4)
    (broken.folder / "config.json").write_text("{")
    shutil.copytree(done.folder, home / "far" / "siren" / done.folder.name)
    (renders() / "sdf" / "linked").symlink_to(home / "far")
    linked = renders() / "sdf" / "linked" / "siren" / done.folder.name
    with holding(busy.folder):
        kept = reasons("newest")
    assert kept[busy.folder] == "training" and kept[broken.folder] == "broken" and kept[linked] == "behind a link"
    assert kept[done.folder] == "newest" and begun.folder not in kept


def test_a_run_at_work_is_not_deleted_even_when_it_began_after_the_look():
    run = make(10, "done")
    (one,) = survey()
    with holding(run.folder):
        assert _in_another_process(lambda: remove_run(one))
    assert run.folder.is_dir()
    remove_run(one)
    assert not run.folder.exists() and os.listdir(run.folder.parent) == ["latest"]


def _in_another_process(act):
    """Whether that raises ValueError in a process of its own, which does not own this one's locks."""
    if not (child := os.fork()):
        from recon.training import lock  # noqa: PLC0415

        lock._HELD.clear()
        try:
            act()
        except ValueError:
            os._exit(7)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_links_inside_a_run_are_removed_and_not_followed(home):
    (home / "treasure").mkdir()
    (home / "treasure" / "thesis.tex").write_text("years of work")
    run = make(10, "done")
    (run.folder / "images").symlink_to(home / "treasure")
    (run.folder / "mesh.ply").symlink_to(home / "treasure" / "thesis.tex")
    remove_run(survey()[0])
    assert not run.folder.exists() and (home / "treasure" / "thesis.tex").read_text() == "years of work"


def test_a_run_that_became_a_link_meanwhile_stays(home):
    run = make(10, "done")
    (one,) = survey()
    shutil.move(run.folder, home / "elsewhere")
    run.folder.symlink_to(home / "elsewhere")
    with pytest.raises(ValueError, match="it stays"):
        remove_run(one)
    assert (home / "elsewhere" / "config.json").is_file()


def test_a_kill_while_deleting_leaves_no_half_run_and_the_next_time_sweeps(monkeypatch):
    run, newest = make(10, "done"), make(10, "done")

    def killed(path, **kwargs):
        os.unlink(next(path.rglob("config.json")))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(places.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_run(survey()[1])
    assert [one.folder for one in survey()] == [newest.folder] and not run.folder.exists()
    tidy(())
    assert sorted(os.listdir(newest.folder.parent)) == sorted([newest.folder.name, "latest"])


def test_latest_is_repaired_and_folders_that_are_empty_now_go(home):
    old, kind_gone, newest = make(10, "done"), make(10, "done", data="cube"), make(10, "done")
    for one in survey():
        if one.folder != old.folder:
            remove_run(one)
    tidy({kind_gone.folder.parent, newest.folder.parent})
    assert follow(renders() / "latest") == follow(old.folder.parent / "latest") == old.folder
    assert not (renders() / "sdf" / "cube").exists()
    remove_run(survey()[0])
    tidy({old.folder.parent})
    assert os.listdir(renders()) == [] and list_runs() == []


def test_latest_that_names_a_run_elsewhere_stays(home):
    make(10, "done")
    elsewhere = Run.create("sdf", "ball", "siren", {}, home / "mine")
    tidy(())
    assert Run.open("latest").folder == elsewhere.folder


def test_older_checkpoints_go_only_from_runs_that_are_done_and_whose_newest_is_whole():
    done, stopped, damaged = make(8), make(4, "stopped"), make(8)
    for run in (done, damaged):
        checkpoint.save(run.checkpoints, {"w": torch.ones(3)}, {}, {}, {"step": 10}, best=True)
        run.write_metrics({"steps": 10, "status": "done", "scores": {}})
    checkpoint.save(stopped.checkpoints, {"w": torch.ones(3)}, {}, {}, {"step": 4}, best=True)
    weights = damaged.checkpoints / "step-000010" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    found = {one.folder: one for one in survey()}
    spare = {folder: spare_checkpoints(one) for folder, one in found.items()}
    assert spare[stopped.folder] == spare[damaged.folder] == []
    assert spare[done.folder] == [done.checkpoints / "step-000008"]
    remove_checkpoints(found[done.folder], spare[done.folder])
    assert os.listdir(done.checkpoints) == ["step-000010"] and checkpoint.load(done.checkpoints).step == 10
