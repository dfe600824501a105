"""Register maps as data: one TOML file a model, read strictly, with its sources."""

from meterseal_agent.profiles.catalogue import load_profile, shipped
from meterseal_agent.profiles.layout import Counter, Decoded, Layout, make_layout
from meterseal_agent.profiles.model import Profile

__all__ = ["Counter", "Decoded", "Layout", "Profile", "load_profile", "make_layout", "shipped"]
