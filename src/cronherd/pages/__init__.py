"""The pages: server-rendered HTML over the same service as the API; one file per noun."""
