"""Recordings at several times, summed up as they were known by each of several horizons."""

from collections.abc import Sequence

import torch


def known_by(
    value: torch.Tensor, hours: torch.Tensor, owner: torch.Tensor, size: int,
    horizons: Sequence[float], scale: float,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Means of what `size` episodes had before each of K horizons, the latest counting most.

    value (R, D) at hours (R) of episodes owner (R) → (size, K, D), and whether there was any (size,
    K). Weights are softmax(hours / scale): a recording counts e-fold after `scale` hours. What was
    known at a horizon or later changes no bit of its mean: it is zeroed before it is weighted.

    >>> value, hours = torch.tensor([[2.0], [4.0], [8.0]]), torch.tensor([1.0, 1.0, 5.0])
    >>> mean, any_known = known_by(value, hours, torch.tensor([0, 0, 1]), 2, [1.0, 4.0], 48.0)
    >>> mean[..., 0].tolist(), any_known.tolist()
    ([[0.0, 3.0], [0.0, 0.0]], [[False, True], [False, False]])
    """
    known = hours[:, None] < hours.new_tensor(horizons)  # (R, K)
    raw = (hours / scale)[:, None].expand_as(known)
    hidden = raw.masked_fill(~known, -torch.inf)
    top = raw.new_full((size, len(horizons)), -torch.inf)
    top = top.scatter_reduce(0, owner[:, None].expand_as(known), hidden, "amax")  # (size, K)
    weight = torch.where(known, (hidden - top[owner]).exp(), 0.0)
    total = torch.zeros_like(top).index_add(0, owner, weight)
    share = torch.where(known, weight / total[owner], 0.0)
    seen = torch.where(known[..., None], value.float()[:, None, :], 0.0)  # (R, K, D); NaN is gone
    made = seen.new_zeros(size, *seen.shape[1:]).index_add(0, owner, share[..., None] * seen)
    return made, top > -torch.inf
