"""What a kit is made of: result, curves, numbers and explanations of one binary task."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.fusion.registry import MODELS, SINGLE
from pipeline.hourly import source as hourly_source
from pipeline.kit.names import EXPLANATIONS, NUMBERS
from pipeline.meds import source as meds_source
from pipeline.report.names import Letters, letter_words, model_words, task_words
from pipeline.report.results import is_ranked
from pipeline.stage.errors import InputError
from pipeline.stage.explanations import Explanations, explanations_in
from pipeline.stage.files import read_json
from pipeline.stage.kit import read_numbers
from pipeline.stage.result import Result, read_result

Json = dict[str, Any]


@dataclass(frozen=True)
class Kit:
    """A result with all that the kit shows of it.

    `part`: what the result says of its one task; `curves`: of that task; `numbers`: `Numbers` of
    `pipeline.stage.kit`, read by keys that are chosen at run time; `explanations`: one of each
    modality that was explained.
    """

    result: Result
    curves: Json
    numbers: Any
    explanations: Sequence[Explanations]
    letters: Letters

    @property
    def part(self) -> Any:
        """What the result says of its task."""
        return next(iter(self.result["tasks"].values()))

    @property
    def task(self) -> str:
        """Name of the task."""
        return next(iter(self.result["tasks"]))

    @property
    def test(self) -> Any:
        """Counts and metrics of the test episodes."""
        return self.part["metrics"]["test"]

    @property
    def name(self) -> str:
        """The target with its experiment and the published protocol, as its file lies in results/.

        For example elderly/ecn_early_mortality, published/ecn_early_mortality.
        """
        published = self.result["protocol"] if self.result["protocol"] != "corrected" else None
        parts = (self.result.get("experiment"), published, self.result["target"])
        return "/".join(part for part in parts if part)

    @property
    def identity(self) -> str:
        """The same as an identifier within a page."""
        return self.name.replace("/", "-")

    @property
    def unit(self) -> str:
        """What is predicted of: an admission, or an ICU stay."""
        return (self.part["definition"] or {}).get("unit", "episode")

    @property
    def words(self) -> str:
        """The model in words: what it reads and how it is fused."""
        read = listed([letter_words(one, self.letters) for one in self.result["modalities"]])
        if self.result["model"] == SINGLE:
            return f"a model that reads {read} alone"
        if getattr(MODELS.get(self.result["model"]), "features", "") == "scores":
            return model_words(self.result["model"])
        return f"{model_words(self.result['model'])} of {read}"

    @property
    def task_words(self) -> str:
        """The task in words."""
        return task_words(self.task)

    @property
    def synthetic(self) -> bool:
        """Whether the patients are made up."""
        return self.result["source"].get("kind") == "synthetic"


def listed(parts: list[str]) -> str:
    """Words in a sentence.

    >>> listed(["EHR", "films", "notes"]), listed(["EHR"]), listed([])
    ('EHR, films and notes', 'EHR', 'nothing')
    """
    if len(parts) < 2:
        return parts[0] if parts else "nothing"
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def read_kit(
    result: str | Path,
    curves: str | Path,
    numbers: str | Path,
    explanations: Sequence[Explanations],
    letters: Letters,
) -> Kit:
    """Reads the files of a kit.

    Raises `InputError` for a result of several tasks or of many labels, and where the numbers or
    the curves are of another result.
    """
    one, drawn, measured = read_result(result), read_json(curves), read_numbers(numbers)
    if len(one["tasks"]) != 1 or any(is_ranked(part) for part in one["tasks"].values()):
        raise InputError(f"{result}: a kit is of a result of one binary task")
    if drawn.get("target") != one["target"]:
        raise InputError(f"{curves}: not of {one['target']}")
    digest = hashlib.sha256(Path(result).read_bytes()).hexdigest()
    if measured["head"]["result_sha256"] != digest:
        raise InputError(f"{numbers}: of another result than {result}; make them again")
    (task,) = one["tasks"]
    own = drawn["tasks"][task] if "tasks" in drawn else drawn
    return Kit(one, own, measured, explanations, letters)


def folder_of(result: Path) -> Path:
    """Where the kit of a result lies.

    >>> folder_of(Path("results/elderly/ecn_early_mortality.json")).as_posix()
    'results/elderly/kit/ecn_early_mortality'
    """
    return result.parent / "kit" / result.stem


def read_made(path: Path, letters: Letters) -> tuple[Kit, Path]:
    """The kit that lies beside a result, and its folder."""
    folder, result = folder_of(path), read_result(path)
    home = path.parent.parent if result["protocol"] == "published" else path.parent
    curves = home / result["protocol"] / "curves" / path.name
    explanations = [explanations_in(one, folder / EXPLANATIONS)
                    for one in read_json(folder / EXPLANATIONS)]  # fmt: skip
    return read_kit(path, curves, folder / NUMBERS, explanations, letters), folder


def words_of_source(kit: Kit) -> Mapping[str, str]:
    """What must be said of data of this kind (clock, known, split, limits), as far as it is not
    what is said of MIMIC-IV's own files."""
    kinds = {"hourly": hourly_source.WORDS, "meds": meds_source.WORDS}
    return kinds.get(kit.result["source"]["kind"], {})
