"""Runs the labelling of a task, of one label or of many, as a rule does; no file of its own."""

import json
import sys


def label_by_command(monkeypatch, folder, stage, task, sources, unit, threads=1):
    """The paths of the outputs: labels, attrition; of many labels groups and vocabulary, too."""
    (folder / "attrition.json").write_text(
        json.dumps([{"condition": f"{unit} of the source", "episodes": 1234, "subjects": 567}])
    )
    out = folder / f"labels{threads}"
    words = ["labels", "--task", task, "--threads", str(threads), "--memory-mb", "500"]
    for name, frame in sources.items():
        frame.write_parquet(folder / f"{name}.parquet")
    words += ["--episodes", str(folder / "episodes.parquet"), "--tables"]
    words += [str(folder / f"{name}.parquet") for name in sources if name != "episodes"]
    words += ["--attrition", str(folder / "attrition.json")]
    outputs = {"output": "labels.parquet", "task-attrition": "attrition.json"}
    if stage.__name__.endswith("diagnoses"):
        outputs |= {"groups": "groups.parquet", "vocabulary": "vocabulary.parquet"}
    for name, file in outputs.items():
        words += [f"--{name}", str(out / file)]
    monkeypatch.setattr(sys, "argv", words)
    stage.main()
    return [out / file for file in outputs.values()]
