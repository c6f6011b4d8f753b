"""One run of load: its settings, its questions and documents, its arrivals and its evidence."""
