"""UniMed (Zhao et al. 2022): one decoder over the tasks of an ICU stay, in the order of time."""
