"""Networks that are no models of pictures: upscalers, finders, cutters. One file for each kind."""
