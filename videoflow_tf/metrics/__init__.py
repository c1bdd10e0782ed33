"""What a trained model is measured by: the metrics in `videoflow_tf.registry.METRICS`."""
