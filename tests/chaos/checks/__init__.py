"""What can be wrong after a round, a module for each concept; `verdict` asks them all.

Each takes what was found, as `evidence` holds it, and tells of every problem in words; none of
them asks a server or a controller, so each can be shown what it is to find.
"""
