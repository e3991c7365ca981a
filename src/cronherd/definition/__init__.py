"""How jobs are written down: documents with positions, the one validator, its faults."""
