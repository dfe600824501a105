"""Finding meters: which port, speed, parity and address answers, and what model it is.

A scan only reads (`bus/frame.py` has no code for anything else). In data-path order: `ports.py` and
`settings.py` say what is tried, `sweep.py` who answers, `probes.py` and `identify.py` what it is,
`check.py` whether its plan can be read, `symptoms.py` what is wrong with the wires, `report.py` and
`write.py` what becomes of it.
"""
