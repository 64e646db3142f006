"""Published networks in own code, with the module paths that torchvision gives them."""
