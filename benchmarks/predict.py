"""How fast a stored model predicts new patients: from csv.gz to risks, once it is loaded.

    python benchmarks/predict.py --size full --folder /tmp/bench --output predict.json

The model is `en_early_mortality` of a synthetic hospital, with trainings of seconds: how long it
was trained changes no time. Loading is that of one process, imports included.
"""

import resource
import sys
import time
from pathlib import Path

from record import REPOSITORY, Record, arguments

sys.path.insert(0, str(REPOSITORY / "tests"))
sys.path.insert(0, str(REPOSITORY))

from checkout import Checkout
from new_patients import of_admissions, tables_of

TARGET = "en_early_mortality"
PATIENTS = {"small": 700, "full": 8000}
WANTED, SLOWEST = 100, 2.0  # admissions per second; seconds of one admission
ONE_BY_ONE = 20


def stored(folder: Path, patients: int) -> Checkout:
    """A checkout with the stored model, made where it is not there."""
    made = Checkout(folder / f"predict-{patients}")
    model = f"results/models/{TARGET}/model.json"
    if not (made / model).is_file():
        made = Checkout.fresh(made.root, {"hospital.patients": patients})
        made.make(model)
    return made


def main() -> None:
    """Loads, predicts everybody, then admissions one by one."""
    given = arguments(__doc__)
    patients = PATIENTS[given.size]
    checkout = stored(given.folder, patients)
    began = time.perf_counter()
    from pipeline.predict.predictor import Predictor

    predictor = Predictor(checkout / f"results/models/{TARGET}", device="cpu", threads=2)
    loading = time.perf_counter() - began
    source = checkout / "results/hospital"
    rates, cpu = [], []
    for _ in range(3 if given.size == "full" else 1):
        began, used = time.perf_counter(), time.process_time()
        made = predictor.predict(source)
        rates.append(made.risks.height / (time.perf_counter() - began))
        cpu.append(made.risks.height / (time.process_time() - used))
    tables, seconds, busy = tables_of(checkout, predictor.tables), [], []
    for admission in made.risks["episode_id"].gather_every(made.risks.height // ONE_BY_ONE):
        one = of_admissions(tables, [admission])
        began, used = time.perf_counter(), time.process_time()
        predictor.predict(one)
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    record = Record(f"Prediction on new patients: {TARGET}, {made.risks.height:,} admissions")
    record.add("loading the model", [loading], note="imports included")
    record.add("from csv.gz to risks", rates, "admissions/s", [peak], "2 cores, once loaded")
    record.add("the same, per second of a processor", cpu, "admissions/s")
    record.add("one admission", seconds, note="tables in memory, once loaded")
    record.add("the same, of a processor", busy)
    record.ask(f"{WANTED} admissions per second", f"{min(rates):.0f}", min(rates) >= WANTED)
    slowest = max(seconds)
    record.ask(f"one admission in {SLOWEST:g} s", f"{slowest:.2f} s", slowest <= SLOWEST)
    record.limit = "Doc2Vec, which reads reports one by one, and the LSTM over the record."
    record.write(given.output)


if __name__ == "__main__":
    main()
