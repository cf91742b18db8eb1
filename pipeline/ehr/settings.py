"""Settings of the EHR's encoders, as the config and the stages that train on them know them."""

from typing import Literal

from pipeline.stage.settings import Number, Section, key


class GridSettings(Section):
    """The EHR encoder `grid`: bins of equal length over readings and intervals."""

    hours: Number = key("hours per bin", ge=0.25, le=48)
    network: Literal["gru", "tcn"] = key("over the bins: a GRU, or dilated convolutions")
    width: int = key("units of the network; its feature has twice as many", ge=8, le=4096)

    @property
    def minutes(self) -> int:
        """Whole minutes of a bin."""
        return round(60 * self.hours)
