"""The section `source` of the config, which extraction reads; `external` has one per name."""

from pathlib import Path
from typing import Literal

from pipeline.stage.settings import Section, Text, key, optional


class Source(Section):
    """Where the data sets lie."""

    kind: Literal["mimic", "meds", "hourly"] = optional(
        "`mimic`: MIMIC's files, or a hospital that is made; `meds`: one data set in MEDS; "
        "`hourly`: concept tables per stay and hour, as ricu and YAIB write them; the last two are "
        "for results of the EHR",
        "mimic",
    )
    root: Text | None = key(
        "`synthetic` (a hospital is made), or the folder that holds mimiciv/, mimic-cxr-jpg/ and "
        "mimic-iv-note/; null where each data set below is named by itself; of kind meds the "
        "folder with data/ and metadata/, of kind hourly that with dyn, sta and outc (.parquet)"
    )
    codes: Text | None = optional(
        "of kind meds: csv of its codes, code, signal, unit, scale; null: that of MIMIC-IV's codes",
        None,
    )
    mimic_iv: Text | None = optional("folder of MIMIC-IV, where it is not below root", None)
    mimic_cxr_jpg: Text | None = optional("folder of MIMIC-CXR-JPG, likewise", None)
    mimic_note: Text | None = optional("folder of MIMIC-IV-Note, likewise", None)

    @property
    def folders(self) -> dict[str, str | None]:
        """Where the data sets lie, as `pipeline.extract.release` reads it."""
        section = self.model_dump(exclude={"kind", "codes"})
        return {name: path and expanded(path) for name, path in section.items()}


def expanded(path: str) -> str:
    """A path with the home folder for ~."""
    return str(Path(path).expanduser())
