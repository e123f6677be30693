"""What both training stages share: state, tracking and reports."""
