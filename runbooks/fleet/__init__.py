"""The fleet as an operator sees it: replicas, groups, alarms, backups, log entries."""
