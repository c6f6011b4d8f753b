"""The load balancers as a process: listeners, weights, health checks and forwarding."""
