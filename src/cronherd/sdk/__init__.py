"""Schedules as code: what `from cronherd import Scheduler, task` gives."""
