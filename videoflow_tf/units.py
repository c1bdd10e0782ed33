"""What numbers are called where they are shown to people."""

# "Bits per pixel" is here, as in the paper, a mean over pixels and colours.
BITS_UNIT = "per colour component"
BITS_LABEL = f"bits per pixel ({BITS_UNIT})"
