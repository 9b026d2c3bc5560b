"""Values of params.yaml tried one after another, hopeless ones given up early."""
