"""The objects in S3: logs, builds, slots and snapshots, and the conditional writes they rest on."""
