"""How generated tests are judged: by what they find, and not by how fast a shared machine draws and runs an example."""

from hypothesis import HealthCheck, settings

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
