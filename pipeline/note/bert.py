"""A BERT of reports: loaded from a folder, and its vectors of reports.

A report's vector is the mean, over its windows, of the last layer's [CLS] (Zhao et al. 2022: the
768 of ClinicalBERT). Weights are safetensors; code that comes with a model is never run, see
`pipeline.stage.model_folders`.
"""

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, BertModel
from transformers.utils import logging

from pipeline.stage.errors import InputError
from pipeline.stage.model_folders import KEY, model_folder

logging.disable_progress_bar()


def load_bert(model: str) -> BertModel:
    """The BERT of a folder or hub name, to be evaluated; `InputError` where it is none.

    transformers fills weights that a file lacks at random: here that is refused.
    """
    folder, safe = model_folder(model), {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(folder, **safe).model_type
        if kind != "bert":
            raise InputError(f"{KEY}: {model} is a {kind}, expected a bert")
        found: Any = BertModel.from_pretrained(
            folder, use_safetensors=True, add_pooling_layer=False, output_loading_info=True, **safe
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{KEY}: {model} is no BERT: {why}") from error
    bert, loaded = found
    if lost := loaded["missing_keys"]:
        raise InputError(f"{KEY}: {model} lacks {len(lost)} weights of a BERT")
    return bert.float().eval()


def first_token(bert: BertModel, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The last layer's [CLS] of windows (W, T): (W, width) float32."""
    if not len(tokens):
        return torch.zeros(0, bert.config.hidden_size, device=mask.device)
    return bert(input_ids=tokens, attention_mask=mask.long()).last_hidden_state[:, 0].float()


def mean_by(value: torch.Tensor, owner: torch.Tensor, count: int) -> torch.Tensor:
    """Means of the rows of `value` (W, D) that belong to each of `count` owners: (count, D).

    >>> mean_by(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), 2).tolist()
    [[2.0], [5.0]]
    """
    total = value.new_zeros(count, value.shape[1]).index_add(0, owner, value)
    size = torch.bincount(owner, minlength=count).clamp(min=1)
    return total / size[:, None]


class LastLayer(nn.Module):
    """Windows of reports → vectors of reports; of the BERT only the last layer learns.

    Below it nothing is stored for the gradient and no dropout is drawn: those layers stay what they
    were, in training mode, too.
    """

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert.requires_grad_(False)
        self.width = bert.config.hidden_size
        self.bert.encoder.layer[-1].requires_grad_(True)

    def train(self, mode: bool = True) -> "LastLayer":
        """Training mode of the last layer alone."""
        super().train(mode)
        self.bert.eval()
        self.bert.encoder.layer[-1].train(mode)
        return self

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor, owner: torch.Tensor,
                reports: int) -> torch.Tensor:  # fmt: skip
        """tokens, mask (W, T), owner (W): number of each window's report → (reports, width)."""
        return mean_by(first_token(self.bert, tokens, mask), owner, reports)
