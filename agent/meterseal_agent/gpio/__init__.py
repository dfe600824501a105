"""The pins of the board: pulses in, LED and relay out, button and tamper contact.

Through gpiozero, which is imported only when a pin is configured. A pin that cannot be used is said
so and left out; it never stops the agent.
"""
