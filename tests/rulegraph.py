"""The rule graph of the main job as mermaid, for docs/architecture.md: `python tests/rulegraph.py`.

Edges that follow from others are left out (a transitive reduction).
"""

import re
import subprocess
import sys
from pathlib import Path

from checkout import REPOSITORY, environment

TARGET = "results/ecn_early_mortality.json"
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))


def edges(folder):
    """(rule, rule that needs it) of the main job, as Snakemake plans it."""
    command = [SNAKEMAKE, "--rulegraph", "dot", TARGET]
    dot = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=True)
    text = dot.stdout.decode()
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', text))
    return {(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", text)}


def reduced(graph):
    """The edges without those that a longer path implies.

    >>> sorted(reduced({("a", "b"), ("b", "c"), ("a", "c")}))
    [('a', 'b'), ('b', 'c')]
    """

    def reaches(start, end, without):
        following = {b for a, b in graph if a == start and (a, b) != without}
        return end in following or any(reaches(node, end, without) for node in following)

    return {(a, b) for a, b in graph if not reaches(a, b, (a, b))}


def mermaid(folder=REPOSITORY):
    """The block that stands in docs/architecture.md."""
    lines = sorted(f"    {a} --> {b}" for a, b in reduced(edges(folder)))
    return "\n".join(["```mermaid", "flowchart TB", *lines, "```"])


if __name__ == "__main__":
    print(mermaid())
