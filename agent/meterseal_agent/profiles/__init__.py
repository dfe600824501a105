"""Register maps as data: one TOML file a model, read strictly, with its sources."""
