"""DVC without Prefect: the plan, one attempt per stage, its processes."""
