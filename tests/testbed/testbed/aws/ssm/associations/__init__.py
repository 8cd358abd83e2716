"""State Manager: associations of documents with nodes, their runs, and what compliance follows from them."""
