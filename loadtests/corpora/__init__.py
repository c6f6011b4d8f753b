"""Sources of documents, each with what arrives under load and the golden questions that it answers."""
