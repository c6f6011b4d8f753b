"""Messages between processes, their limits and problems."""
