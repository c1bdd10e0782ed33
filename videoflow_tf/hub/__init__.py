"""Trained models to pass on, in the form of the Hugging Face hub: a folder of configuration, weights and model card."""
