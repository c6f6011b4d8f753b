"""Tables of facts: instance types, prices, targets, alarms, names, index parameters."""
