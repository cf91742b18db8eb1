"""The page of a kit: one file, in a browser as wide as a desk and as a phone, and on paper.

The tests in headless Chromium are skipped where there is none.
"""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from chromium import browser, needed
from kit_at_hand import REASON, curves_of, explanations, kit_of, numbers_of, result_of

from pipeline.kit import make, page
from pipeline.kit.figures import pictures
from pipeline.kit.inputs import folder_of, read_kit, read_made
from pipeline.kit.names import PAGE, beside
from pipeline.kit.tables import tables
from pipeline.stage import digests
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.result import flat

VOID = {"meta", "img", "br", "wbr", "link", "input"}
LETTERS = {"e": "EHR", "c": "chest films", "n": "notes"}
KINDS = {
    "whole": {"explanations": explanations()},
    "hidden": {"hidden": True, "kind": "mimic", "experiment": "small"},
    "none": {"reason": REASON, "kind": "mimic", "target": "e_unimodal_mortality"},
}


class Reader(HTMLParser):
    """Elements in their order, and whether every one is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def of(self, *tags):
        return [attributes for tag, attributes in self.found if tag in tags]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The kits of a whole result, of one with hidden counts and of one without figures; a page of
    them all."""
    folder = tmp_path_factory.mktemp("kits")
    shown = []
    for name, more in KINDS.items():
        kit = kit_of(**more)
        make.write(kit, folder / name / "report.html")
        shown.append(page.shown(kit, pictures(kit), tables(kit), folder / name / "figures"))
    (folder / "all.html").write_text(page.render(shown))
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_every_file_of_a_kit_is_written_and_no_other(made):
    for name in KINDS:
        found = {str(path.relative_to(made / name)) for path in (made / name).rglob("*")
                 if path.is_file()}  # fmt: skip
        assert found == {PAGE, *beside()}


@pytest.mark.parametrize("name", [*(f"{kind}/report" for kind in KINDS), "all"])
def test_the_page_is_one_file_that_asks_for_nothing(made, name):
    text = (made / f"{name}.html").read_text()
    read = Reader(text)
    for attributes in read.of("img", "script", "link", "iframe", "a", "form"):
        for key in ("src", "href", "action", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:image/svg+xml;base64,"))
    assert "http://" not in text and "https://" not in text and "innerHTML" not in text
    (policy,) = [a["content"] for a in read.of("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy
    assert not any(key.startswith("on") or key == "style" for _, a in read.found for key in a)


@pytest.mark.parametrize("name", [*(f"{kind}/report" for kind in KINDS), "all"])
def test_the_page_is_read_aloud_in_order(made, name):
    read = Reader((made / f"{name}.html").read_text())
    assert read.of("html") == [{"lang": "en"}] and len(read.of("main")) == 1
    levels = [int(tag[1]) for tag, _ in read.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    identities = [a["id"] for _, a in read.found if "id" in a]
    assert len(identities) == len(set(identities))
    for _, attributes in read.found:
        for key in ("aria-labelledby", "for"):
            assert attributes.get(key) is None or attributes[key] in identities
    for attributes in read.of("a"):
        assert attributes["href"][1:] in identities
    assert all(len(a["alt"]) > 40 and re.search(r"\d", a["alt"]) for a in read.of("img"))
    assert all(a.get("scope") in ("col", "row", "rowgroup") for a in read.of("th"))
    assert len(read.of("caption")) == len(read.of("table"))


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are empty: drawing takes seconds, and is tested elsewhere."""

    def draw(made, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in made:
            (folder / f"{name}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")

    monkeypatch.setattr(make, "draw", draw)


def test_names_from_the_data_are_escaped(tmp_path, undrawn):
    kit = kit_of()
    group = kit.numbers["fairness"]["attributes"][2]["groups"][0]
    group["group"] = "<script>alert(1)</script>"
    kit.numbers["flow"]["steps"][0]["condition"] = '"><img src=x onerror=alert(1)>'
    make.write(kit, tmp_path / "report.html")
    for path in (tmp_path / "report.html", tmp_path / "tables/groups.html"):
        text = path.read_text()
        assert "<script>alert" not in text and "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in (tmp_path / "report.html").read_text()


def test_the_same_kit_gives_the_same_page(made, tmp_path):
    kit = kit_of(**KINDS["none"])
    make.write(kit, tmp_path / "report.html")
    for name in (PAGE, *beside()):
        assert (tmp_path / name).read_bytes() == (made / "none" / name).read_bytes(), name


@pytest.fixture
def stored(tmp_path, monkeypatch, undrawn):
    """The files of two results as the workflow leaves them, and the commands that read them."""
    for experiment in ("", "small"):
        home = tmp_path / experiment
        result = result_of(**({"experiment": experiment} if experiment else {}))
        path = home / "ecn_early_mortality.json"
        write_json(path, flat(result))
        write_json(home / "corrected/curves/ecn_early_mortality.json", curves_of(result))
        numbers = numbers_of(result)
        numbers["head"]["result_sha256"] = digests.digest(path)
        write_json(folder_of(path) / "numbers.json", numbers)

    def run(module, *arguments):
        words = json.dumps(LETTERS)
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments), "--words", words])
        module.main()

    return tmp_path, run


def arguments_of(home):
    result = home / "ecn_early_mortality.json"
    kit = folder_of(result)
    return ["--result", result, "--curves", home / "corrected/curves/ecn_early_mortality.json",
            "--numbers", kit / "numbers.json", "--output", kit / "report.html"]  # fmt: skip


def test_commands_make_a_kit_and_a_page_of_several(stored):
    folder, run = stored
    for home in (folder, folder / "small"):
        run(make, *arguments_of(home))
    paths = [home / "ecn_early_mortality.json" for home in (folder, folder / "small")]
    run(page, "--results", *paths, "--output", folder / "kit/report.html")
    read = Reader((folder / "kit/report.html").read_text())
    assert [a["id"] for a in read.of("article")] == [
        "ecn_early_mortality",
        "small-ecn_early_mortality",
    ]
    assert [a["label"] for a in read.of("optgroup")] == ["no experiment", "small"]
    with pytest.raises(InputError, match="a result twice"):
        run(page, "--results", paths[0], paths[0], "--output", folder / "x.html")


def test_numbers_of_another_result_are_refused(stored):
    folder, run = stored
    result = folder / "ecn_early_mortality.json"
    result.write_text(result.read_text() + "\n")
    with pytest.raises(InputError, match="of another result"):
        run(make, *arguments_of(folder))
    assert not (folder_of(result) / "report.html").exists()


def test_curves_of_another_result_and_results_of_many_tasks_are_refused(stored):
    folder, run = stored
    curves = folder / "corrected/curves/ecn_early_mortality.json"
    curves.write_text(curves.read_text().replace("ecn_early", "ec_early"))
    with pytest.raises(InputError, match=r"not of ecn_early_mortality"):
        run(make, *arguments_of(folder))
    several = result_of()
    several["tasks"]["longstay"] = several["tasks"]["mortality"]
    write_json(folder / "ecn_early_mortality.json", several)
    with pytest.raises(InputError, match="one binary task"):
        run(make, *arguments_of(folder))


def test_both_protocols_of_a_target_stand_on_one_page(tmp_path, undrawn):
    kits = []
    for protocol in ("corrected", "published"):
        kit = kit_of(protocol=protocol)
        make.write(kit, tmp_path / protocol / "report.html")
        kits.append(page.shown(kit, pictures(kit), tables(kit), tmp_path / protocol / "figures"))
    text = page.render(kits)
    read = Reader(text)
    names = ["ecn_early_mortality", "published-ecn_early_mortality"]
    assert [a["id"] for a in read.of("article")] == names
    assert [a["value"] for a in read.of("option")] == names
    assert ">ecn_early_mortality, published protocol</option>" in text
    alone = [(tmp_path / name / "report.html").read_text() for name in ("corrected", "published")]
    titles = [one.partition("<title>")[2].partition("</title>")[0] for one in alone]
    assert titles[1] == f"{titles[0]}, published protocol" and ">published/ecn_early" in alone[1]


def test_a_figure_that_is_gone_is_named(stored):
    folder, run = stored
    run(make, *arguments_of(folder))
    kit, own = read_made(folder / "ecn_early_mortality.json", LETTERS)
    (own / "figures/roc.svg").unlink()
    with pytest.raises(InputError, match=r"roc\.svg: the page shows it"):
        page.shown(kit, pictures(kit), tables(kit), own / "figures")


def test_results_of_icu_stays_have_curves_by_task(stored):
    folder, _ = stored
    result = result_of("e_unimodal_shock_4h")
    part = result["tasks"]["shock_4h"]
    for name in ("comparisons", "missing"):
        del part[name]
    path = folder / "e_unimodal_shock_4h.json"
    write_json(path, result)
    inner = {"target": result["target"], "split": "test", "tasks": {"shock_4h": curves_of(result)}}
    write_json(folder / "curves.json", inner)
    numbers = numbers_of(result)
    numbers["head"]["result_sha256"] = digests.digest(path)
    write_json(folder / "numbers.json", numbers)
    kit = read_kit(path, folder / "curves.json", folder / "numbers.json", [], LETTERS)
    drawn = pictures(kit)
    assert drawn["roc"].shown and not drawn["missing"].shown
    make.write(kit, folder / "stay/report.html")


def test_a_task_of_more_than_one_seed_has_means_of_counts():
    kit = kit_of()
    kit.numbers["operating_points"][0]["confusion"]["true_positive"] = 59.6
    kit.numbers["calibration"][0]["groups"][0]["n"] = 79.5
    assert tables(kit)["operating_points"].lines[0].cells[1] == "60"


# in a browser


@needed
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("name", [*(f"{kind}/report" for kind in KINDS), "all"])
def test_nothing_but_boxes_of_tables_scrolls_sideways(chromium, made, name, width):
    chromium.open(made / f"{name}.html", width)
    assert chromium.value("document.documentElement.scrollWidth") <= width
    wider = """[...document.querySelectorAll("main *")].filter(
        (one) => !one.closest(".scroll") && one.getBoundingClientRect().right > innerWidth + 1
    ).map((one) => one.tagName + one.className)"""
    assert chromium.value(wider) == []
    loaded = "[...document.images].every((one) => one.complete && one.naturalWidth > 50)"
    assert chromium.value(loaded) is True
    boxes = "[...document.querySelectorAll('.scroll')].every((one) => one.tabIndex === 0)"
    assert chromium.value(boxes) is True


TABLES = "[...document.querySelectorAll('.scroll')].filter((one) => one.querySelector('table'))"


@needed
def test_tables_fit_a_desk(chromium, made):
    chromium.open(made / "whole/report.html", 1280)
    wide = (
        f"{TABLES}.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.innerText)"
    )
    assert chromium.value(wide) == []


@needed
def test_on_a_phone_the_names_of_rows_stay_and_leave_room_for_numbers(chromium, made):
    chromium.open(made / "whole/report.html", 360)
    moved = f"""{TABLES}.filter((one) => one.scrollWidth > one.clientWidth).map((one) => {{
        one.scrollLeft = 90;
        const left = (cell) => cell ? cell.getBoundingClientRect().left - one.offsetLeft : 0;
        const row = one.querySelector("th[scope=row]"), head = one.querySelector("thead th");
        const group = one.querySelector(".group span");
        return [left(row), left(head), left(group), row.offsetWidth / one.clientWidth];
    }})"""
    found = chromium.value(moved)
    assert len(found) >= 4
    for row, head, group, share in found:
        assert abs(row) < 1 and abs(head) < 1 and 0 <= group < 10 and share < 0.5


@needed
def test_on_a_phone_no_setting_is_broken_within_a_word(chromium, made):
    chromium.open(made / "whole/report.html", 360)
    broken = """[...document.querySelectorAll(".settings td")].filter((one) => {
        const text = one.firstChild, range = document.createRange();
        return text && [...text.data.matchAll(/[^\\s-]+/g)].some((word) => {
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            return range.getClientRects().length > 1;
        });
    }).map((one) => one.innerText)"""
    assert chromium.value(broken) == []


@needed
def test_nothing_is_refused_by_the_policy_of_the_page_itself(chromium, made):
    chromium.open(made / "all.html")
    entries = [event["params"]["entry"]["text"] for event in chromium.events
               if event.get("method") == "Log.entryAdded"]  # fmt: skip
    assert entries == []
    assert chromium.value("getComputedStyle(document.body).maxWidth") != "none"  # the style holds
    added = """(() => { const one = document.createElement("script");
        one.textContent = "window.intruder = 1"; document.body.append(one);
        return window.intruder === undefined })()"""
    assert chromium.value(added) is True


SHOWN = """[...document.querySelectorAll("article")].filter((one) => one.offsetHeight).map(
    (one) => one.id)"""


@needed
def test_the_menu_shows_one_result_and_works_with_the_keyboard(chromium, made):
    names = ["ecn_early_mortality", "small-ecn_early_mortality", "e_unimodal_mortality"]
    chromium.open(made / "all.html")
    assert chromium.value(SHOWN) == names[:1]
    chromium.value("document.getElementById('choice').focus()")
    chromium.press("ArrowDown", 40)
    chosen = chromium.value("document.getElementById('choice').value")
    assert chosen != names[0] and chromium.value(SHOWN) == [chosen]
    chromium.value(f"location.hash = '#{names[0]}-groups'")
    chromium.value("new Promise((done) => setTimeout(done, 50))")
    assert chromium.value(SHOWN) == names[:1]


@needed
def test_without_javascript_all_results_are_shown(chromium, made):
    chromium.open(made / "all.html", script=False)
    try:
        chromium.call("Emulation.setScriptExecutionDisabled", value=False)
        assert len(chromium.value(SHOWN)) == 3
        assert chromium.value("document.getElementById('switcher').hidden") is True
        assert chromium.value("document.getElementById('all').offsetHeight > 0") is True
    finally:
        chromium.open(made / "all.html")


@needed
def test_the_keyboard_reaches_everything_and_the_focus_is_seen(chromium, made):
    chromium.open(made / "whole/report.html")
    chromium.press("Tab", 9)
    assert chromium.value("document.activeElement.className") == "skip"
    assert chromium.value("document.activeElement.getBoundingClientRect().left >= 0") is True
    reached = set()
    for _ in range(60):
        chromium.press("Tab", 9)
        if chromium.value("document.activeElement === document.body"):
            break  # after the last one
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert chromium.value(outline) == "solid"
        reached.add(chromium.value("document.activeElement.classList[0] || 'link'"))
    assert {"link", "scroll"} <= reached


CONTRAST = """(() => {
  const light = (c) => c <= 10 ? c / 3295 : ((c / 255 + 0.055) / 1.055) ** 2.4;
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const shine = (c) => 0.2126 * light(c[0]) + 0.7152 * light(c[1]) + 0.0722 * light(c[2]);
  let least = 99;
  for (const one of document.querySelectorAll("main *, header *")) {
    const own = [...one.childNodes].filter((node) => node.nodeType === 3);
    if (!own.some((node) => node.textContent.trim())) continue;
    let behind = one, ground = [255, 255, 255, 0];
    while (behind && !ground[3]) {
      const found = parts(getComputedStyle(behind).backgroundColor);
      if (found.length < 4 || found[3] > 0) ground = [...found.slice(0, 3), 1];
      behind = behind.parentElement;
    }
    const [a, b] = [shine(parts(getComputedStyle(one).color)), shine(ground)].sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
})()"""


@needed
def test_text_has_contrast(chromium, made):
    chromium.open(made / "all.html")
    assert 4.5 <= chromium.value(CONTRAST) < 99


@needed
@pytest.mark.skipif(not shutil.which("pdftotext"), reason="no pdftotext on this machine")
def test_it_prints_every_result_with_every_heading(chromium, made, tmp_path):
    chromium.open(made / "all.html")
    chromium.pdf(tmp_path / "page.pdf")
    command = ["pdftotext", "-layout", tmp_path / "page.pdf", "-"]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    pages = text.rstrip("\f").split("\f")
    assert 6 <= len(pages) <= 40
    assert all(page.strip() for page in pages)
    for heading in ("What it means", "Characteristics", "Decision curve", "Operating points",
                    "Groups", "What it cannot say", "Settings and versions"):  # fmt: skip
        assert text.count(heading) >= 3, heading
    assert "small/ecn_early_mortality" in text and "Result shown" not in text


@needed
def test_no_printed_table_is_wider_than_the_paper(chromium, made):
    """A4 within its margins: 184 mm, 695 CSS pixels."""
    chromium.open(made / "whole/report.html", 695)
    chromium.call("Emulation.setEmulatedMedia", media="print")
    try:
        wide = """Math.max(...[...document.querySelectorAll("table, img")].map(
            (one) => one.offsetWidth))"""
        assert chromium.value(wide) <= 695
    finally:
        chromium.call("Emulation.setEmulatedMedia", media="")
