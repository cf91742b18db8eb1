"""The page in a stored model's folder: what it predicts, what it reads, how it is used."""

from collections.abc import Mapping
from typing import Any


def text_of(model: Mapping[str, Any]) -> str:
    """Markdown of a `model.json`."""
    whom = {"admission": "hospital admissions", "stay": "ICU stays"}[model["unit"]]
    source = model["source"]["kind"]
    releases = ", ".join(f"{name} {one}" for name, one in model["source"]["releases"].items())
    lines = [
        f"# {model['target']}",
        "",
        f"Of {whom}, {model['hours']} hours after their beginning: {model['question']}",
        "",
        f"Fitted on {releases or source} with {len(model['seeds'])} training seed(s), under "
        f"version {model['definitions_version']} of the definitions. A model for research: nobody "
        "has shown that it is safe to decide on treatment by it.",
        "",
        "```sh",
        "python -m pipeline.predict --model <this folder> --source /data/new \\",
        "  --output risks.parquet",
        "```",
        "",
        "Weights and tables were fitted on patients: what may not leave them may not leave here. "
        "`model.json` names every file and its digest; a folder with any other file is refused.",
        "",
        "## What a source must hold",
        "",
        "Columns in italics may be absent (they are known only at the end); a table that is not "
        "needed counts as empty where it is absent: nobody has its modality then.",
        "",
        "| table | needed | columns |",
        "|---|---|---|",
    ]
    for name, table in model["contract"].items():
        columns = [f"*{one}*" if one in table["may_lack"] else one for one in table["columns"]]
        lines.append(f"| {name} | {'yes' if table['needed'] else 'no'} | {', '.join(columns)} |")
    return "\n".join([*lines, ""])
