"""Pages without a server: complete, safe, small enough, and alive in a browser without a network."""

import re

import numpy as np
import pytest

from recon.geometry import Mesh
from recon.report.page import write_report
from recon.scenes.read import read_scene
from recon.viewer import page
from recon.viewer.files import MeshFile
from recon.viewer.page import file_page, fitting, folder_page, page_of, static_page


@pytest.fixture(scope="module")
def shape_page(shape_run):
    return static_page(shape_run, most_bytes=1_500_000)


@pytest.fixture(scope="module")
def scene_page(scene_run):
    return static_page(scene_run, most_bytes=1_500_000)


def test_a_saved_page_opens_without_a_server_and_asks_for_nothing(scene_page, tab, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(scene_page, encoding="utf-8")
    tab.page.goto(path.as_uri())
    tab.changes()
    assert tab.complaints == [] and tab.asked_elsewhere(path.as_uri()) == []


def test_the_page_in_a_report_works_under_the_policy_of_the_report(shape_run, shape_page, tab, tmp_path):
    path = write_report(shape_run, lambda: shape_page, tmp_path / "report.html")
    tab.page.goto(path.as_uri())
    tab.page.get_by_text("show what was learned in 3-D").click()
    tab.page.locator("iframe").scroll_into_view_if_needed()
    tab.changes()
    assert tab.complaints == [] and tab.asked_elsewhere(path.as_uri()) == []


@pytest.mark.parametrize("name", ["shape_page", "scene_page"])
def test_a_page_names_no_address_and_forbids_itself_to_ask_for_any(name, request):
    text = request.getfixturevalue(name)
    assert len(text) <= 1_500_000
    addresses = set(re.findall(r"https?://[\w./-]+", text))
    assert {address.partition("//")[2].split("/")[0] for address in addresses} <= {"www.w3.org"}
    assert text.index("Content-Security-Policy") < text.index("<script")
    assert "default-src 'none'" in text


def test_a_title_from_a_file_is_only_text():
    text = page_of("</title><script>alert(1)</script>\n", lambda stage: None)
    assert "<script>alert" not in text
    assert "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; </title>" in text


def test_a_page_is_made_coarser_until_it_fits():
    asked = []

    def draw(resolution):
        asked.append(resolution)
        return "x" * (1000 + resolution**2)

    assert len(fitting(draw, 256, 9000)) <= 9000
    assert asked[0] == 256 and asked == sorted(asked, reverse=True) and asked[-1] > 60
    with pytest.raises(ValueError, match="takes 1,576 bytes at least, and 1,500 are allowed"):
        fitting(draw, 256, 1500)


def test_a_run_that_saw_nothing_opaque_still_shows_its_cameras(scene_run, monkeypatch):
    def nothing(*_):
        raise ValueError("no ray reaches an opacity of 0.9")

    monkeypatch.setattr(page, "level_mesh", nothing)
    assert len(static_page(scene_run)) > 800_000


def test_a_mesh_and_a_folder_are_pages_as_well(scene_folder):
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    assert "<title>three.ply</title>" in file_page(MeshFile("three.ply", mesh, None))
    assert "<title>marble</title>" in folder_page(read_scene(scene_folder))
