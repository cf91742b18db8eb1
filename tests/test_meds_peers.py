"""Other people's readers of MEDS, in an environment of their own: they count what we count.

ACES finds the labels of a task in our events by its own logic; meds-evaluation computes metrics
from our predictions.
"""

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hospital_files import files
from meds_at_hand import derived, environment, exported, extracted

ACES = Path(__file__).with_name("aces_tasks")
HOURS = timedelta(hours=48)
EVALUATE = """
import json, sys
import polars as pl
from meds_evaluation.evaluate import evaluate_binary_classification as evaluate
table = pl.read_parquet(sys.argv[1])
print(json.dumps(evaluate(table)["samples_equally_weighted"], default=float))
"""


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    """The interpreter of an environment with both."""
    folder = tmp_path_factory.mktemp("peers") / "environment"
    return environment(folder, "es-aces==0.7.3", "meds-evaluation==0.0.6") / "python"


def same_labels(peers, release, folder):
    """How many labels, and positives, ACES and we both find; of each task."""
    source = extracted(release, folder / "source")
    made, root = derived(source, folder / "made"), exported(source, folder / "meds")
    counts = []
    for unit, task in (("admission", "mortality"), ("stay", "mortality_48h")):
        output = folder / f"{task}.parquet"
        command = [peers, ACES / "count.py", ACES / f"{task}.yaml", root / "data", output]
        subprocess.run(command, check=True, capture_output=True)
        own = made[task].filter("eligible").join(made[f"{unit} episodes"], on="episode_id")
        own = own.select(
            "subject_id",
            index_timestamp=pl.col("clock_zero") + HOURS,
            label=pl.col("label").cast(pl.Int64),
        ).sort(pl.all())
        assert own.equals(pl.read_parquet(output).sort(pl.all())), task
        counts.append((own.height, own["label"].sum()))
    return counts


@pytest.mark.slow
def test_aces_counts_what_we_count_of_the_hospital(peers, tmp_path):
    counts = same_labels(peers, files(1000, films=False) / "mimiciv/3.1", tmp_path)
    assert all(labels > 1000 and 150 < positive < 0.3 * labels for labels, positive in counts)


@pytest.mark.slow
def test_aces_counts_what_we_count_of_the_open_demo(peers, mimic_demo, tmp_path):
    assert same_labels(peers, mimic_demo, tmp_path) == [(107, 10), (72, 12)]


@pytest.mark.slow
def test_meds_evaluation_computes_our_metrics_to_six_digits(peers, copied):
    target = "results/meds/predictions/ecn_early_mortality.parquet"
    done = copied.snakemake(target)
    assert done.status == 0, done.text
    assert done.ran == ["write_meds_predictions"]
    command = [peers, "-c", EVALUATE, copied / target]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = json.loads(said)
    result = json.loads((copied / "results/ecn_early_mortality.json").read_text())
    ours, threshold = result["metrics"]["test"], result["threshold"]
    for name, own in (("roc_auc_score", ours["auroc"]), ("average_precision_score", ours["auprc"]),
                      ("brier_score", ours["brier"]), ("f1_score", threshold["f1"])):  # fmt: skip
        assert theirs[name] == pytest.approx(own["value"], abs=1e-6), name
