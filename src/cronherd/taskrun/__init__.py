"""What the process of a Python task runs; standard library and the domain only."""
