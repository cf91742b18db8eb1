"""MEDS in the workflow: the collection `meds`, a source in MEDS, what is refused at once."""

import meds
import polars as pl
import pyarrow.parquet as pq
import pytest
from meds_at_hand import exported, extracted

META = ["--configfile", "meds.yaml"]


@pytest.fixture(scope="module")
def of_meds(fresh, tmp_path_factory):
    """A checkout whose source is a data set in MEDS."""
    from hospital_files import files

    folder = tmp_path_factory.mktemp("in_meds")
    root = exported(extracted(files(300, films=False) / "mimiciv/3.1", folder / "s"), folder / "m")
    checkout = fresh.copy(folder / "checkout")
    (checkout / "meds.yaml").write_text(f"source: {{kind: meds, root: {root}}}\n")
    return checkout


def test_the_collection_is_made_from_a_finished_run(copied):
    done = copied.snakemake("meds")
    assert done.status == 0, done.text
    assert set(done.ran) == {"label_task", "write_meds_events", "write_meds_labels",
                             "write_meds_splits", "meds"}  # fmt: skip
    root = copied / "results/meds"
    data = [pq.read_table(file) for file in sorted(root.glob("data/*.parquet"))]
    assert len(data) == 16 and sum(table.num_rows for table in data) > 100_000
    for table in data:
        meds.DataSchema.validate(table)
    codes = set(pl.read_parquet(root / "data/*.parquet", columns=["code"])["code"])
    assert "NOTE//RR" in codes and "FILM//AP" in codes
    assert {file.stem for file in root.glob("labels/*.parquet")} == {
        "mortality", "longstay", "readmission",
    }  # fmt: skip
    assert copied.snakemake("--dry-run", "meds").planned == {}


def test_a_source_in_meds_is_adapted_and_goes_the_usual_way(of_meds):
    plan = of_meds.snakemake("--dry-run", "results/e_gbdt-stats_mortality.json", *META)
    assert plan.planned["adapt_meds"] == 1 and "extract_table" not in plan.planned
    assert "make_hospital" not in plan.planned
    assert "its times are chart times" in plan.text
    target = "results/corrected/admission/ehr/events.parquet"
    done = of_meds.snakemake(target, *META)
    assert done.status == 0, done.text
    assert done.ran == ["adapt_meds", "select_episodes", "select_events"]
    assert pl.read_parquet(of_meds / target).height > 10_000


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("results/ec_early_mortality.json", "a MEDS source offers the EHR alone"),
        ("results/e_sofa_mortality.json", "the score sofa reads items beyond the signals"),
        ("results/published/e_unimodal_mortality.json", "the published protocol reads MIMIC's own"),
        ("results/e_unimodal_arf_bipap_4h.json", "reads items that are no signals"),
        ("results/meds/labels/arf_bipap_4h.parquet", "reads items that are no signals"),
    ],
)
def test_what_meds_cannot_offer_is_refused_in_a_line(of_meds, target, words):
    done = of_meds.snakemake("--dry-run", target, *META)
    assert done.status == 1 and words in done.text
    assert "Traceback" not in done.text


def test_what_is_written_of_a_source_in_meds_has_its_name(of_meds):
    done = of_meds.snakemake("--dry-run", "-p", "results/meds/metadata/dataset.json", *META)
    assert done.status == 0 and "--name test " in done.text, done.text


def test_a_task_of_many_labels_has_no_labels_in_meds(fresh):
    done = fresh.snakemake("--dry-run", "results/meds/labels/diagnoses_48h.parquet")
    assert done.status == 1 and "many labels" in done.text
