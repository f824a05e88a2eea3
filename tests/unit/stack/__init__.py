"""Parts of the real stack that can be shown without one."""
