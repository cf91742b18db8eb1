"""Augmentation: small, never a flip, in training alone, the same for the same seed."""

import numpy as np
import pytest
import torch
from encoder_data import films

from pipeline.cxr.augment import Augment
from pipeline.cxr.encoder_resnet18 import ENCODER
from pipeline.cxr.settings import Augmentation

SOME = Augmentation(shift=0.1, degrees=10, contrast=0.3)
NONE = Augmentation(shift=0, degrees=0, contrast=0)


def spot(count=64, pixels=40, at=(10, 28)):
    """Films with one bright spot: row, column."""
    made = torch.zeros(count, pixels, pixels, dtype=torch.uint8)
    made[:, at[0] - 2 : at[0] + 3, at[1] - 2 : at[1] + 3] = 200
    return made


def centre(film):
    """Row and column of the brightness, per film."""
    mass = film / film.sum(dim=(1, 2), keepdim=True)
    place = torch.arange(film.shape[-1], dtype=torch.float32)
    return torch.stack([(mass.sum(2) * place).sum(1), (mass.sum(1) * place).sum(1)], 1)


def test_each_film_moves_a_little_by_itself_and_none_is_flipped():
    torch.manual_seed(0)
    moved = centre(Augment(Augmentation(shift=0.1, degrees=10, contrast=0)).train()(spot()))
    away = moved - torch.tensor([10.0, 28.0])
    # a shift of 4 pixels, and 10 degrees about the middle, 12.4 pixels away
    assert away.abs().max() < 4 + 12.4 * np.deg2rad(10) + 0.5
    assert away.std(dim=0).min() > 1
    assert (moved[:, 1] > 20).all()  # of the left half none comes to the right, nor below
    assert (moved[:, 0] < 20).all()


def test_contrast_changes_about_the_mean_and_stays_within_grey_levels():
    torch.manual_seed(0)
    film = torch.randint(0, 256, (32, 20, 20), dtype=torch.uint8)
    changed = Augment(Augmentation(shift=0, degrees=0, contrast=0.3)).train()(film)
    assert changed.min() >= 0
    assert changed.max() <= 255
    ratio = changed.std(dim=(1, 2)) / film.float().std(dim=(1, 2))
    assert 0.7 < ratio.min() < 0.85
    assert 1.05 < ratio.max() < 1.3
    torch.testing.assert_close(Augment(NONE).train()(film), film.float(), atol=1e-2, rtol=0)


def test_in_evaluation_films_are_as_they_are():
    film = spot()
    assert torch.equal(Augment(SOME).eval()(film), film)
    assert Augment(SOME).train()(spot(0)).shape == (0, 40, 40)


def test_the_same_seed_sees_the_same_films_and_another_pass_others():
    augment, film = Augment(SOME).train(), spot()

    def drawn(seed):
        torch.manual_seed(seed)
        return augment(film), augment(film)

    (first, second), (again, _), (other, _) = drawn(0), drawn(0), drawn(1)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("augment", [None, NONE.model_dump_json(), SOME.model_dump_json()])
def test_the_encoder_augments_in_training_where_the_config_says_so(augment):
    settings = {"hours_scale": 48, "one_by_one": False, "standardise": True, "pretrained": []}
    torch.manual_seed(0)
    made = ENCODER.network(settings | {"augment": augment}, None, None)
    batch = films([[1.0, 2.0], [3.0]]).batch(np.arange(2))
    shown = []
    made.show.register_forward_hook(lambda layer, given, out: shown.append(given[0].float()))
    with torch.no_grad():
        made.train()(batch, [torch.inf])
        made.eval()(batch, [torch.inf])
    assert torch.equal(shown[0], shown[1]) == (augment != SOME.model_dump_json())
    assert torch.equal(shown[1], batch["film"].float())
