"""The only SQL in the project: one contract, one schema, a dialect per database."""
