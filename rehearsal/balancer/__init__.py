"""The front load balancer as a process: listeners, weights, health checks and forwarding."""
