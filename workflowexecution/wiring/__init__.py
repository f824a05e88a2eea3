"""Parts of the wiring that `app` would be too long with, one concept a module.

They see everything that `app` sees and are seen by it alone, but for `trail`: `auditcommands`
reaches the Data Storage by it as the controller does.
"""
