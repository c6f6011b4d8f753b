"""A seeded schedule of faults against a standing rehearsal, judged by an independent fold of the raw documents log."""
