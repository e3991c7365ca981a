"""The command line: words for people; one file per command group, loaded when it is used."""
