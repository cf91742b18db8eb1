"""The examples of docs/extending.md: written into a checkout as they stand, planned and run."""

import json

import pytest
from checkout import REPOSITORY, Checkout
from pages import apply, blocks, of_section

EXAMPLES = {
    "A task": ("ecn_early_alive_soon", {"label_task": 1, "fuse_early": 1, "evaluate_model": 1}),
    "A fusion": ("ecn_strongest_mortality", {"fuse_early": 1, "evaluate_model": 1}),
    "An encoder": ("n_unimodal_mortality", {"pretrain_note": 1, "embed_note": 1}),
}


@pytest.fixture(params=EXAMPLES)
def example(request):
    """Heading, target and jobs of an example."""
    return request.param, *EXAMPLES[request.param]


def test_every_example_is_tested():
    text = (REPOSITORY / "docs/extending.md").read_text()
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [*EXAMPLES, "A modality"]
    assert len([block for block in blocks(text) if block.title]) == sum(
        len([block for block in of_section("extending.md", name) if block.title])
        for name in headings
    )


def test_an_example_plans_its_target(example, tmp_path):
    heading, target, jobs = example
    found = of_section("extending.md", heading)
    assert any(f"results/{target}.json" in block.text for block in found)
    checkout = Checkout.fresh(tmp_path / "extended")
    assert checkout.plan(f"results/{target}.json").status or heading == "An encoder"
    apply(checkout, found)
    assert jobs.items() <= checkout.plan(f"results/{target}.json").planned.items()


def test_an_example_makes_its_result(example, copied):
    heading, target, _ = example
    apply(copied, of_section("extending.md", heading))
    copied.make(f"results/{target}.json")
    made = json.loads((copied / f"results/{target}.json").read_text())
    assert made["metrics"]["test"]["auroc"]["value"] is not None
    if heading == "A task":
        conditions = [row["condition"] for row in made["cohort"]["attrition"]]
        assert "not admitted electively" in conditions
