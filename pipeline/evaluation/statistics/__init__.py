"""Statistics of predictions: arrays in, figures out. They know no table and no task."""
