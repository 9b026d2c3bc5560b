"""Who starts the workers that train one network together."""
