"""Episodes, tasks, eligibility, split and attrition."""
