"""The plan: from a workload to shards, machines, memory, recovery time and cost."""
