"""Text models by name: an AutoModel of a folder (BERT, RoBERTa, ModernBERT …); windows → vectors.

A window's vector is the last layer's state of its first token where the tokenizer puts one there
that stands for the window ([CLS], <s>; Zhao et al. 2022: the 768 numbers of ClinicalBERT), else the
mean over its tokens. A report's vector is the mean over its windows. Weights are safetensors; code
that comes with a model is never run, see `pipeline.stage.model_folders`.
"""

from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from pipeline.note.pieces import load_tokenizer, starts_with_class
from pipeline.stage.errors import InputError
from pipeline.stage.model_folders import KEY, model_folder
from pipeline.training.checkpoint import load_auto_model


class TextModel(nn.Module):
    """Windows (W, T) → vectors (W, width) float32. `net`: an AutoModel of text.

    `first`: whether the first token stands for a window. `most`: tokens of the longest window that
    it takes (None: any).
    """

    def __init__(self, net: Any, first: bool) -> None:
        super().__init__()
        self.net, self.first, self.width = net, first, int(net.config.hidden_size)
        # what stands where the mask is off: RoBERTa counts its positions by it
        self.pad = getattr(net.config, "pad_token_id", None) or 0
        self.most = _most_tokens(net)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """tokens int64, mask bool, both (W, T)."""
        if not len(tokens):
            return torch.zeros(0, self.width, device=mask.device)
        tokens = tokens.masked_fill(~mask, self.pad)
        state = self.net(input_ids=tokens, attention_mask=mask.long()).last_hidden_state.float()
        if self.first:
            return state[:, 0]
        total = torch.where(mask[..., None], state, 0.0).sum(dim=1)
        return total / mask.sum(dim=1, keepdim=True).clamp(min=1)

    def check(self, token: np.ndarray, longest: int) -> None:
        """`InputError` where windows of `longest` or one of the tokens do not fit the model."""
        if self.most is not None and longest > self.most:
            raise InputError(
                f"config.note.bert.tokens: {longest}, but this model takes {self.most}"
            )
        known = self.net.get_input_embeddings().num_embeddings
        if len(token) and int(token.max()) >= known:
            raise InputError(f"{KEY}: its tokenizer has more pieces than the {known} of its "
                             "weights; the two are of different models")  # fmt: skip


def _most_tokens(net: Any) -> int | None:
    """Tokens of the longest window: learnt positions, less those that RoBERTa leaves unused."""
    for name, layer in net.named_modules():
        if name.endswith("position_embeddings") and isinstance(layer, nn.Embedding):
            unused = 0 if layer.padding_idx is None else layer.padding_idx + 1
            return int(layer.num_embeddings) - unused
    most = getattr(net.config, "max_position_embeddings", None)
    return int(most) if most else None


def load_text_model(model: str) -> TextModel:
    """The model of a folder or hub name, in evaluation mode; `InputError` where it is none."""
    net = load_auto_model(model_folder(model), f"{KEY}: {model}", _encodes_text,
                          "an encoder of text, as BERT is")  # fmt: skip
    if isinstance(getattr(net, "pooler", None), nn.Module):
        net.pooler = None  # it is not read
    first = starts_with_class(load_tokenizer(model))
    return TextModel(net.float(), first).eval()


def _encodes_text(net: Any) -> bool:
    return net.main_input_name == "input_ids" and not net.config.is_encoder_decoder


def mean_by(value: torch.Tensor, owner: torch.Tensor, count: int) -> torch.Tensor:
    """Means of the rows of `value` (W, D) that belong to each of `count` owners: (count, D).

    >>> mean_by(torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1]), 2).tolist()
    [[2.0], [5.0]]
    """
    total = value.new_zeros(count, value.shape[1]).index_add(0, owner, value)
    size = torch.bincount(owner, minlength=count).clamp(min=1)
    return total / size[:, None]


class LearningText(nn.Module):
    """Windows of reports → vectors of reports; the last layer of the model learns, or all of it.

    Layers that do not learn stay in evaluation mode: they store nothing for the gradient and draw
    no dropout.
    """

    def __init__(self, model: TextModel, part: Literal["last", "all"]) -> None:
        super().__init__()
        self.model, self.part, self.width = model.requires_grad_(False), part, model.width
        self._learning().requires_grad_(True)

    def _learning(self) -> nn.Module:
        return self.model if self.part == "all" else last_layer(self.model.net)

    def train(self, mode: bool = True) -> "LearningText":
        """Training mode of what learns alone."""
        super().train(mode)
        self.model.eval()
        self._learning().train(mode)
        return self

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor, owner: torch.Tensor,
                reports: int) -> torch.Tensor:  # fmt: skip
        """tokens, mask (W, T), owner (W): number of each window's report → (reports, width)."""
        return mean_by(self.model(tokens, mask), owner, reports)


def last_layer(net: Any) -> nn.Module:
    """The last of the layers of a model; `InputError` where they are not a list of their own."""
    count = getattr(net.config, "num_hidden_layers", None)
    for layers in net.modules():
        if isinstance(layers, nn.ModuleList) and len(layers) == count:
            return layers[-1]
    raise InputError(f"config.note.bert.trained: last, but the layers of a {net.config.model_type} "
                     "are not apart from one another; set frozen or all")  # fmt: skip
