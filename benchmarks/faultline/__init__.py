"""A line on which things go wrong by chance, and a witness who knows what is true."""
