"""Predicts the risks of new patients by a stored model.

    python -m pipeline.predict --model results/models/ecn_early_mortality --source /data/new
        --output risks.parquet

`make model TARGET=…` stores the model of a result. `--source`: a folder of MIMIC-shaped files, as
`source.root` of the config, or (`--kind`) a MEDS data set or hourly concept tables; admissions may
still run: no column of discharge or outcome is needed, and a patient may lack any modality. Beside
the output, `<output>.report.json` tells what is odd in the data: unknown items, units that look
wrong, tokens never seen, a shift of the risks.
"""

import csv
import tempfile
from datetime import datetime
from pathlib import Path

from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import LEAST


def read_ids(path: Path) -> list[int]:
    """The whole numbers of a csv's column episode_id, hadm_id or stay_id."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        names = ("episode_id", "stay_id", "hadm_id")
        name = next(name for name in names if rows and name in rows[0])
        return [int(float(row[name])) for row in rows]
    except (OSError, ValueError, StopIteration) as error:
        raise InputError(f"--ids {path}: expected a csv with whole numbers in a column episode_id, "
                         "hadm_id or stay_id") from error  # fmt: skip


def main() -> None:
    """Loads the model, predicts, writes risks and report."""
    options = parser(__doc__)
    add = options.add_argument
    add("--model", type=Path, required=True, help="folder of a stored model")
    add("--source", type=Path, required=True, help="folder of the source files")
    add("--kind", choices=("mimic", "meds", "hourly"), default="mimic", help="what the source is")
    add("--codes", help="csv of the codes of a MEDS source; else those of MIMIC-IV")
    add("--output", type=Path, required=True, help="risks, parquet")
    add("--ids", type=Path, help="csv: of these episodes alone (hadm_id; of ICU stays stay_id)")
    add(
        "--now",
        type=datetime.fromisoformat,
        help="2150-01-31T12:00: who has not reached the "
        "prediction time by then has no risk yet; else all have",
    )
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    add("--threads", type=int, default=2, help="of tables, films and reports")
    add("--memory-mb", type=int, default=4000, help="DuckDB memory limit, MB")
    add("--suppress-below", type=int, default=LEAST, help="counts of the report that are hidden")
    asked = options.parse_args()
    if not asked.source.is_dir():
        raise InputError(f"--source {asked.source}: no such folder")
    ids = read_ids(asked.ids) if asked.ids else None
    from pipeline.predict import folder

    folder.read_model(asked.model)  # refused before torch is imported
    from pipeline.predict.predictor import RISKS, Predictor
    from pipeline.predict.prepared import prepare, section_of
    from pipeline.predict.report import say
    from pipeline.stage.tables import write_table

    predictor = Predictor(asked.model, asked.device, asked.threads, asked.memory_mb)
    with tempfile.TemporaryDirectory(prefix="source-") as name:
        source = asked.source
        if asked.kind != "mimic":
            section = section_of(str(source), asked.kind, asked.codes)
            source = prepare(section, predictor.tables, Path(name), asked.threads, asked.memory_mb)
        made = predictor.predict(source, ids, asked.suppress_below, now=asked.now)
    write_table(made.risks, asked.output, RISKS)
    write_json(asked.output.with_suffix(".report.json"), made.report)
    say(made.report)


if __name__ == "__main__":
    run(main)
