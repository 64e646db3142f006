"""Output formats of a report. They arrange numbers and compute none."""
