"""A local web page to look at a trained model: futures of any clip, what lies between two of them, bits per pixel."""
