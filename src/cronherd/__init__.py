"""cronherd: one cron for many machines. Importing it does nothing."""

__version__ = "0.1.0"
