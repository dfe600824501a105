"""Parts of the benchmark of the bus: its meters, its lines, and the clients beside the agent."""
