"""Gearman, spoken by us: packets, a client, a worker and the text protocol of its servers."""
