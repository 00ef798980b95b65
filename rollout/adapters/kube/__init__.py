"""The cluster port on a real API server: `cluster.connect`. Imported late: the client takes most of a second."""
