"""Arguments that every stage with torch shares."""

import argparse


def add_training_arguments(arguments: argparse.ArgumentParser) -> None:
    """Arguments of every stage that trains on one task, or embeds for it."""
    arguments.add_argument("--episodes", required=True)
    arguments.add_argument("--labels", required=True)
    add_compute_arguments(arguments)


def add_compute_arguments(arguments: argparse.ArgumentParser) -> None:
    """Arguments of every stage that computes with torch."""
    arguments.add_argument("--seeds", type=int, nargs="+", required=True)
    arguments.add_argument("--torch-threads", type=int, required=True,
                           help="a setting, not a resource: weights depend on it")  # fmt: skip
    arguments.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 …")


def add_head_argument(arguments: argparse.ArgumentParser) -> None:
    """`--head-on`: whom the heads of all models are fitted on, a choice of the protocol."""
    arguments.add_argument("--head-on", choices=["fusion", "train"], required=True,
                           help="fusion: patients unknown to the encoders; train: as published"
                           )  # fmt: skip
