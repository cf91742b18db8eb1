"""From source files to results: the rooms of the workflow, one folder each."""
