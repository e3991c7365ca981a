"""What a process was told: files, environment and flags become one frozen Config."""
