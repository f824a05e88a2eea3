"""The witnesses of the end-to-end suite: that what they are to find, they find."""
