"""UniMed (Zhao et al. 2022): one decoder over the tasks of a unit, in the order of time."""
