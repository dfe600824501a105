"""MeterSeal protocol: records, chains, trees, notes and proofs, as pure code without I/O."""

__version__ = "0.1.0"
