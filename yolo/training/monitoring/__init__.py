"""Console, tracking and reports of failed trainings."""
