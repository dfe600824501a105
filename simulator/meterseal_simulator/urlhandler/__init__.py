"""Where pyserial finds the ports of the virtual world, by its own rule for URLs."""
