"""The golden set: questions, their judgement, and the ingestion of a corpus."""
