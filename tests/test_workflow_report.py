"""`snakemake --report`: one page with the results, nothing of patients, and no net."""

import base64
import json
import re
import shutil
import subprocess

import pytest
from checkout import MAIN, REPOSITORY, SINGLE

from pipeline.report.numbers import with_interval

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update",
         "--virtual-time-budget=20000"]  # fmt: skip
WATCH = """<script>
const seen = {errors: [], requests: []};
const note = (...what) => seen.errors.push(what.map(String).join(" "));
addEventListener("error", event => note(event.message || event.target.src), true);
console.error = note;
</script>"""
CLICK = """<script>
addEventListener("load", async () => {
  const pause = () => new Promise(done => setTimeout(done, 500));
  await pause();
  for (const [kind, number, text] of CLICKS) {
    const found = [...document.querySelectorAll(kind)].filter(x => x.textContent.includes(text));
    if (found[number]) found[number].click(); else note("nothing to click: " + text);
    await pause();
  }
  seen.requests = performance.getEntriesByType("resource").map(entry => entry.name);
  const said = document.createElement("pre");
  said.id = "seen";
  said.textContent = JSON.stringify(seen);
  document.body.append(said);
});
</script>"""


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory):
    """The report of the finished run's two results."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    finished.make("--report", str(path), MAIN, SINGLE)
    return path.read_text()


@pytest.fixture
def browse(tmp_path):
    """Opens a page in a browser and clicks; returns what is shown then, errors and requests."""
    if CHROMIUM is None:
        pytest.skip("no Chromium (apt-get install chromium)")

    def of(page, *clicks):
        end = page.rindex("</body>")
        click = CLICK.replace("CLICKS", json.dumps(clicks))
        path = tmp_path / "watched.html"
        path.write_text(page[:end].replace("<head>", f"<head>{WATCH}", 1) + click + page[end:])
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path}/profile", "--dump-dom"]
        run = subprocess.run(
            [*command, path.as_uri()], capture_output=True, text=True, check=True, timeout=120
        )
        shown, said = run.stdout.split('<pre id="seen">')
        return shown, json.loads(said[: said.index("</pre>")])

    return of


def embedded(page):
    """Path → what the report holds of it and says of it."""
    return json.loads(re.search(r"var results = (\{.*\});?\s*</script>", page)[1])


def test_report_holds_the_figures_and_no_other_file(page, finished):
    held = embedded(page)
    assert sorted(held) == sorted(name.replace(".json", ".svg") for name in (MAIN, SINGLE))
    for path, entry in held.items():
        assert (
            base64.b64decode(entry["data_uri"].partition("base64,")[2])
            == (finished / path).read_bytes()
        )


def test_report_lists_results_with_their_intervals_and_captions(page, finished):
    for path, entry in embedded(page).items():
        test = json.loads((finished / path).with_suffix(".json").read_text())["metrics"]["test"]
        assert entry["labels"] == {
            "result": path.removeprefix("results/").removesuffix(".svg"),
            "AUROC": with_interval(test["auroc"]),
            "average precision": with_interval(test["auprc"]),
        }
        assert "ROC, precision-recall and calibration curve" in entry["caption"]


def test_only_pictures_and_tables_of_aggregates_are_marked_for_the_report():
    rules = "\n".join(path.read_text() for path in (REPOSITORY / "rules").glob("*.smk"))
    marked = re.findall(r'report\(\s*f?"([^"]*)"', rules)
    assert len(marked) == len(re.findall(r"\breport\(", rules.replace("preflight.report(", "")))
    tables = [f"{{HOME}}/tables/{{name}}.{end}" for end in ("csv", "html")]
    of_one = "{{modalities}}_{{model}}_{{task}}"
    results = [f"{{folder}}/{of_one}.svg", f"{{folder}}/kit/{of_one}/{{kit_files.PAGE}}"]
    assert sorted(marked) == sorted([*tables, *results])


def test_marks_for_the_report_rerun_nothing(copied):
    rules = copied / "rules/evaluation.smk"
    text = rules.read_text()
    unmarked = re.sub(r"report\(\s*(f\"[^\"]*\.svg\"),.*?labels=headline,\s*\)", r"\1", text,
                      flags=re.DOTALL)  # fmt: skip
    assert unmarked != text and "report(" not in unmarked
    rules.write_text(unmarked)
    assert copied.plan(MAIN, SINGLE).planned == {}


def test_report_shows_a_result_in_a_browser_without_errors_and_requests(page, browse):
    name = MAIN.removeprefix("results/").removesuffix(".json")
    shown, seen = browse(page, ("a", 0, "Results"), ("tr:has(td) a", 0, ""))
    labels = embedded(page)[MAIN.replace(".json", ".svg")]["labels"]
    assert f">{name}</td>" in shown and f">{labels['AUROC']}</td>" in shown
    assert re.search(r'<img src="data:image/svg\+xml', shown)
    assert seen == {"errors": [], "requests": []}


def test_report_shows_how_long_each_rule_took(page, browse):
    shown, seen = browse(page, ("a", 0, "Statistics"))
    assert re.search(r"<(canvas|svg)[^>]* class=\"marks\"", shown)
    assert seen == {"errors": [], "requests": []}


def test_the_watch_sees_errors_and_requests(browse):
    page = '<html><head></head><body><img src="http://nowhere.invalid/x.png"></body></html>'
    _, seen = browse(page, ("a", 0, "nothing"))
    assert "http://nowhere.invalid/x.png" in seen["requests"]
    assert "nothing to click: nothing" in seen["errors"]
