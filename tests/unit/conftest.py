"""Set-up that all unit tests share."""

import hypothesis

# A loaded machine is no reason to fail: an example that hangs meets the test's own time limit.
hypothesis.settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("project")
