"""The judges of the outage proof: that what they are to find, they find."""
