"""How messages leave: one file per channel behind one contract. No SQL, no clock, no retries."""
