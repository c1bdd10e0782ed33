"""What a trained model is measured by."""

LIKELIHOOD = "bits_per_pixel"
SAMPLE_METRICS = ("psnr", "ssim", "vgg_cosine", "fvd", "diversity", "vgg_diversity")
METRICS = (LIKELIHOOD, *SAMPLE_METRICS)
