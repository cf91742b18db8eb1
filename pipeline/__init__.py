"""From source files to results: the rooms of the workflow, one folder each.

No job makes a network call: transformers and the hub's client read these switches when they are
imported, which no module of this package does before this file has run.
"""

import os

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1")
