"""What a release consists of: the wheel and the image."""
