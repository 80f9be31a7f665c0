"""Pages as Chromium shows them: nothing overflows, tables sort, hostile text does nothing, and no network is asked."""

import numpy as np
import pytest
from PIL import Image

from recon.report.comparison import write_comparison
from recon.report.page import write_report
from recon.training.run import Run

WIDTHS = {1280: "light", 390: "dark"}
EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>\'"><svg onload=alert(3)> ' + "unbroken" * 20
VIEW = """<!doctype html><body><p id="told">nothing</p><script>
const told = document.getElementById("told"), found = [self.origin];
document.addEventListener("securitypolicyviolation", (event) => { told.dataset.refused = event.effectiveDirective; });
try { found.push(parent.document.title) } catch (error) { found.push(error.name) }
found.push(new Function("return 6 * 7")());
fetch("http://127.0.0.1:9/").then(() => found.push("fetched"), () => found.push("refused")).then(() => {
  told.textContent = found.join(" ");
});
</script></body>"""


def make(folder, field, name="lego", bad=""):
    """A run of a scene with thirty views and every kind of picture, whose texts may be hostile."""
    run = Run.create("nerf", name + bad, field, {"preset": "quick" + bad, "train": {"steps": 60}}, folder)
    pictures = folder / "images"
    pictures.mkdir()
    rng, rows, files = np.random.default_rng(len(field)), [], {}
    for sheet, size in (("inside", (1200, 300)), ("tiles", (700, 500)), ("extra", (500, 400))):
        Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), np.uint8)).save(pictures / f"{sheet}.png")
        files[sheet] = f"images/{sheet}.png"
    for view in range(30):
        psnr = 20 + 9 * ((view * 7) % 30) / 30
        rows.append({"file": f"test/r_{view}{bad}.png", "psnr": psnr, "ssim": 0.9, "mse": 10 ** (-psnr / 10)})
        for end in ("", "_error"):
            Image.new("RGB", (80, 60), (8 * view, 90, 120)).save(pictures / f"test_{view:03d}{end}.png")
    for step in (1, 20, 40, 60):
        row = {"step": step, "stage": "all", "seconds": step / 9, "loss": 3 / step, "rate": 0.1, "peak_memory": 2**30}
        run.append_log({**row, "losses": {"rgb" + bad: 1 / step}, "measures": {"occupied" + bad: 0.4 / step}})
    scores = {"psnr": 24.35, "ssim": 0.9, "lpips": None}
    definitions = {"psnr": "-10 log10(mse)" + bad, "lpips": "learned distance. NULL: no weights were given." + bad}
    metrics = {"task": "nerf", "data": name + bad, "field": field, "scores": scores, "definitions": definitions}
    metrics |= {"params": 119_041, "macs": 14_848, "steps": 60, "seconds": 6.0, "status": "done" + bad, "rows": rows}
    metrics |= {"device": "cpu with 1 thread; a long line about the machine, its precision and its allocator" + bad}
    bands = [{"from": 0.0, "to": 0.1, "points": 9, "wrong": 0.2, "error": 0.1, "bias": None}]
    metrics |= {"bands": {"definition": "share" + bad, "rows": bands}, "timings": {"training": 6.0, "scores": 2.0}}
    metrics |= {"views": {"train": 3, "test": 30}, "size": [80, 60], "notes": ["layout: blender" + bad]}
    run.write_metrics(metrics | {"files": {"images": files}, "warnings": ["few views" + bad] if bad else []})
    return run


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages by name: of a run, of a hostile one, of both."""
    folder = tmp_path_factory.mktemp("runs")
    good, evil = make(folder / "good", "siren"), make(folder / "evil", "loe", bad=EVIL)
    other = make(folder / "other", "hash-grid")
    return {
        "run": write_report(good, lambda: VIEW),
        "hostile": write_report(evil, lambda: VIEW.replace("nothing", "still nothing"), folder / "evil.html"),
        "plain hostile": write_report(evil, None, folder / "plain.html"),
        "comparison": write_comparison([good, other], folder / "comparison.html")[0],
        "hostile comparison": write_comparison([evil, good], folder / "both.html")[0],
    }


@pytest.fixture
def show(browser, pages):
    """Opens a page; afterwards, that it said nothing, asked for nothing and opened no dialog."""
    opened, troubles = [], []

    def open_page(name, width=1280, **options):
        tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=WIDTHS[width], **options)
        tab.on("console", lambda message: troubles.append(message.text))
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: request.url[:5] in ("file:", "data:") or troubles.append(request.url))
        tab.goto(pages[name].as_uri())
        opened.append(tab)
        return tab

    open_page.troubles = troubles
    yield open_page
    for tab in opened:
        tab.close()
    assert not troubles


OVERFLOWING = """() => [...document.querySelectorAll("body, body *")].filter((element) => {
  const inner = element.closest(".scroll, .paper, svg");  // those scroll, or scale, by themselves
  return !inner && element.getBoundingClientRect().right > innerWidth + 1;
}).map((element) => element.outerHTML.slice(0, 90))"""
OVERLAPPING = """() => {
  const found = [], block = (e) => /block|grid|flex|table/.test(getComputedStyle(e).display);
  for (const parent of document.querySelectorAll("main, main *")) {
    if (parent.closest("svg")) continue;
    const parts = [...parent.children].filter(block);
    parts.slice(1).forEach((part, before) => {
      const [a, b] = [parts[before].getBoundingClientRect(), part.getBoundingClientRect()];
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (a.width && b.width && across > 1 && down > 1) found.push(part.outerHTML.slice(0, 90));
    });
  }
  return found;
}"""
SHOWN = [("run", 1280), ("run", 390), ("comparison", 1280), ("comparison", 390)]
SHOWN += [("hostile", 390), ("plain hostile", 1280), ("hostile comparison", 390)]


@pytest.mark.parametrize("name, width", SHOWN)
def test_nothing_overflows_overlaps_or_runs_that_should_not(show, name, width):
    tab = show(name, width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(OVERFLOWING) == []
    assert tab.evaluate(OVERLAPPING) == []
    assert tab.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    paper, ink = tab.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    light = [sum(map(int, colour[4:-1].split(","))) for colour in (paper, ink)]
    assert (light[0] > light[1]) == (WIDTHS[width] == "light") and abs(light[0] - light[1]) > 400


def column(tab, number):
    return tab.eval_on_selector_all(
        f"table.views tbody tr > :nth-child({number})", "cells => cells.map(c => c.innerText)"
    )


def test_a_table_sorts_by_mouse_and_by_keyboard_and_says_so(show):
    tab = show("run")
    psnr, name = (tab.locator("table.views thead th").nth(at) for at in (1, 0))
    before = column(tab, 2)
    assert psnr.get_attribute("aria-sort") == "ascending" and before == sorted(before, key=float)
    psnr.get_by_role("button").click()
    assert psnr.get_attribute("aria-sort") == "descending" and column(tab, 2) == before[::-1]
    name.get_by_role("button").focus()
    tab.keyboard.press("Enter")
    files = [line.split()[0] for line in column(tab, 1)]
    assert files == [f"test/r_{view}.png" for view in range(30)]  # by its numbers: 2 comes before 10
    assert name.get_attribute("aria-sort") == "ascending" and psnr.get_attribute("aria-sort") is None


def test_without_scripts_the_page_tells_the_same(show):
    tab = show("run", java_script_enabled=False)
    assert tab.locator("table.views thead th button").count() == 0
    assert tab.locator("table.views tbody tr").count() == 30 and tab.locator("svg").count() == 3


def test_the_view_loads_when_it_is_opened_with_an_origin_of_its_own_and_no_network(show):
    tab = show("run")
    assert len(tab.frames) == 1 or tab.frames[1].locator("#told").count() == 0
    tab.get_by_text("show what was learned in 3-D").click()
    told = tab.frame_locator("iframe").locator("#told")
    told.get_by_text("refused").wait_for(timeout=10_000)
    assert told.inner_text() == "null SecurityError 42 refused"
    assert told.get_attribute("data-refused") == "connect-src"
    assert [line for line in show.troubles if "Content Security Policy" not in line] == []
    show.troubles.clear()
    tab.get_by_text("show what was learned in 3-D").click()
    tab.locator("iframe:not([srcdoc])").wait_for(state="attached")


def test_on_paper_everything_folded_is_open_and_what_needs_a_screen_is_gone(show):
    tab = show("run")
    hidden = tab.get_by_text("all settings of this run").locator("xpath=../..").locator("table")
    assert not hidden.is_visible()
    tab.emulate_media(media="print", color_scheme="dark")
    assert hidden.is_visible() and not tab.get_by_text("show what was learned in 3-D").is_visible()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate("document.querySelector('.scroll:has(table.views)').clientHeight") > 800
    assert len(tab.pdf(format="A4")) > 10_000
