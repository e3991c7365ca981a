"""When jobs run: rules, what is said around them, clocks, and words for all of it."""
