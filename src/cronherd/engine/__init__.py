"""What lives and ticks: knows the domain and the contracts, never a concrete store."""
