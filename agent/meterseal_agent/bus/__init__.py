"""The wire: one guarded Modbus line, its frames, its silence and its doubts."""
