"""The toolbox of one host: commands that need no database and no configuration."""
