"""Predicts the risks of new patients by a stored model.

    python -m pipeline.predict --model results/models/ecn_early_mortality --source /data/new
        --output risks.parquet

`make model TARGET=…` stores the model of a result. `--source`: a folder of MIMIC-shaped files, as
`source.root` of the config, or (`--kind`) a MEDS data set or hourly concept tables, or JSON as a
source of the config; admissions may still run: no column of discharge or outcome is needed, and a
patient may lack any modality. Beside the output, `<output>.report.json` tells what is odd in the
data: unknown items, units that look wrong, tokens never seen, a shift of the risks; and which of
the `--ids` have no risk.
"""

import argparse
import tempfile
from datetime import datetime
from pathlib import Path

from pipeline.predict import folder
from pipeline.predict.asked import checked_now, read_ids
from pipeline.stage.command import parser, run
from pipeline.stage.errors import InputError
from pipeline.stage.files import write_json
from pipeline.stage.privacy import LEAST

IDS = "csv with a column hadm_id (of ICU stays stay_id) or episode_id: of these alone"
NOW = ("local time of the hospital, 2150-01-31T12:00: who has not reached the prediction time by "
       "then has no risk yet; else all have")  # fmt: skip


def _arguments() -> argparse.Namespace:
    options = parser(__doc__)
    add = options.add_argument
    add("--model", type=Path, required=True, help="folder of a stored model")
    add("--source", required=True, help="folder of the source files, or JSON as in the config")
    add("--kind", choices=("mimic", "meds", "hourly"), default="mimic", help="what the source is")
    add("--codes", help="csv of the codes of a MEDS source; else those of MIMIC-IV")
    add("--output", type=Path, required=True, help="risks, parquet")
    add("--ids", type=Path, help=IDS)
    add("--now", type=datetime.fromisoformat, help=NOW)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")
    add("--threads", type=int, default=2, help="of tables, films and reports")
    add("--memory-mb", type=int, default=4000, help="DuckDB memory limit, MB")
    add("--temp", default=tempfile.gettempdir(), help="folder for the source's tables meanwhile")
    add("--suppress-below", type=int, default=LEAST, help="counts of the report that are hidden")
    return options.parse_args()


def main() -> None:
    """Loads the model, predicts, writes risks and report."""
    asked = _arguments()
    described = asked.source.lstrip().startswith("{")
    folders = {"--temp": asked.temp} | ({} if described else {"--source": asked.source})
    for name, path in folders.items():
        if not Path(path).is_dir():
            raise InputError(f"{name} {path}: no such folder")
    checked_now(asked.now)
    model = folder.read_model(asked.model)  # refused before torch is imported
    ids = read_ids(asked.ids, model["unit"]) if asked.ids else None
    from pipeline.predict.predictor import Predictor
    from pipeline.predict.prepared import prepare, section_of
    from pipeline.predict.risks import RISKS
    from pipeline.predict.spoken import say
    from pipeline.stage.tables import write_table

    resources = (asked.threads, asked.memory_mb)
    predictor = Predictor(asked.model, asked.device, *resources, temp=asked.temp)
    with tempfile.TemporaryDirectory(prefix="source-", dir=asked.temp) as name:
        source = asked.source
        if described or asked.kind != "mimic":
            section = section_of(source, asked.kind, asked.codes)
            source = prepare(section, predictor.tables, Path(name), *resources)
        made = predictor.predict(source, ids, asked.suppress_below, now=asked.now)
    write_json(asked.output.with_suffix(".report.json"), made.report)
    write_table(made.risks, asked.output, RISKS)
    say(made.report)


if __name__ == "__main__":
    run(main)
