"""The crontabs of a host: where cron reads them, and how they are changed without harm."""
